// Buffers for joining bytes before they are written: fresh ones cost more than the copy itself, so a few
// are kept for the next write of whatever session.
// Must never be given a buffer back that anybody may still read.

/** Bytes of each buffer: four full TLS records. */
export const JOIN_SIZE = 65_536

const MAX_SPARE = 16

const spare: Buffer[] = []

export function takeJoinBuffer(): Buffer {
  return spare.pop() ?? Buffer.allocUnsafeSlow(JOIN_SIZE)
}

export function giveJoinBuffer(buffer: Buffer): void {
  if (spare.length < MAX_SPARE) spare.push(buffer)
}
