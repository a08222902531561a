// The versions of Mux.Pro and which of them both ends speak (Protocol Version; section 6.3.1).

/** MuxPro/0.0: major and minor, two bytes each, as one number. */
const VERSION_0_0 = 0x0000_0000

/** What this implementation speaks, the highest first. */
export const SUPPORTED_VERSIONS: readonly number[] = Object.freeze([VERSION_0_0])

/** The name of a version as the draft writes it. */
export function formatVersion(version: number): string {
  return `MuxPro/${version >>> 16}.${version & 0xffff}`
}

/** The highest version in common; `undefined` when there is none. */
export function chooseVersion(offered: readonly number[]): number | undefined {
  return SUPPORTED_VERSIONS.find((version) => offered.includes(version))
}
