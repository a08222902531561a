// A write that is over is over (D45): its buffer is the writer's again, and what ends the stream or its
// connection afterwards takes nothing away.
import type { Duplex } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { CARRIERS } from './carriers.ts'
import { arrival, digest, digestOf, KIB, MIB, openOn, pattern, take, turned } from './support.ts'

const CHUNK = 64 * KIB

/** Sends `data` through one buffer of `size` bytes, filled anew as soon as the callback comes. */
async function sendReusing(near: Duplex, data: Buffer, size: number): Promise<void> {
  const shared = Buffer.alloc(size)
  for (let at = 0; at < data.length; at += size) {
    const piece = data.subarray(at, at + size)
    piece.copy(shared)
    await new Promise<void>((resolve, reject) => {
      near.write(shared.subarray(0, piece.length), (error) => (error ? reject(error) : resolve()))
    })
    // What is not gone yet arrives as zeros.
    shared.fill(0)
  }
  near.end()
}

describe.each(CARRIERS)('$name', (carrier) => {
  it.each([
    ['there', CHUNK, 16 * MIB],
    ['back', CHUNK, 16 * MIB],
    ['there', 100, 200 * KIB],
    ['back', 100, 200 * KIB],
  ])(
    'D45: a buffer that is reused after each callback arrives intact: %s, %i bytes',
    async (way, size, bytes) => {
      const opened = await openOn(carrier)
      const { near, far } = way === 'there' ? opened : turned(opened)
      const data = pattern(bytes)
      const arrived = arrival(carrier, far, bytes)
      await sendReusing(near, data, size)
      expect(await arrived).toEqual(digestOf(data))
    },
  )

  it('D45: end(data, () => near.destroy()) delivers the data', async () => {
    const { near, far } = await openOn(carrier)
    // On TLS, the client's kernel may answer with a reset what it has not read yet: the session tickets.
    far.write('ready')
    await take(near, 5)
    const data = pattern(MIB)
    const arrived = digest(far)
    near.resume()
    near.end(data, () => near.destroy())
    expect(await arrived).toEqual(digestOf(data))
  })

  it('D45: end(data, () => the connection ends) delivers the data', async () => {
    const { near, far, connection } = await openOn(carrier)
    const data = pattern(48 * KIB)
    const arrived = take(far, data.length)
    near.resume()
    near.end(data, () => connection.destroy())
    expect(digestOf(await arrived)).toEqual(digestOf(data))
  })
})
