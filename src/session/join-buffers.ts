// Buffers for joining bytes before they are written: fresh ones cost more than the copy itself, so a few
// are kept for the next write of whatever session.
// Must never be given a buffer back that anybody may still read.

/** Bytes that are joined when more wait: four full TLS records. */
export const JOIN_SIZE = 65_536

/** Bytes of each buffer: when no more wait, a write of an application of 64 KiB leaves with its frame heads as one. */
export const JOIN_LIMIT = JOIN_SIZE + 1_024

const MAX_SPARE = 16

const spare: Buffer[] = []

export function takeJoinBuffer(): Buffer {
  return spare.pop() ?? Buffer.allocUnsafeSlow(JOIN_LIMIT)
}

export function giveJoinBuffer(buffer: Buffer): void {
  if (spare.length < MAX_SPARE) spare.push(buffer)
}
