// Buffers for joining bytes before they are written: fresh ones cost more than the copy itself, so a few
// are kept for the next write of whatever session or socket.

/** Bytes that are joined when more wait: four full TLS records. */
export const JOIN_SIZE = 65_536

/** Bytes of each buffer: when no more wait, a write of an application of 64 KiB leaves with its frame heads as one. */
export const JOIN_LIMIT = JOIN_SIZE + 1_024

/** Bytes of the buffers for less, so that a request does not hold what a download does. */
const SMALL = 4_096

const MAX_SPARE = 16

const spare: Buffer[] = []
const spareSmall: Buffer[] = []

/** @param bytes what is to be joined, {@link JOIN_LIMIT} at most: the buffer has room for it, or for more */
export function takeJoinBuffer(bytes: number): Buffer {
  if (bytes <= SMALL) return spareSmall.pop() ?? Buffer.allocUnsafeSlow(SMALL)
  return spare.pop() ?? Buffer.allocUnsafeSlow(JOIN_LIMIT)
}

export function giveJoinBuffer(buffer: Buffer): void {
  const spares = buffer.length === SMALL ? spareSmall : spare
  if (spares.length < MAX_SPARE) spares.push(buffer)
}
