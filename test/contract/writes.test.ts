// When a write is over: its callback, `finish`, `drain` and what the stream says of itself (D45), the same on
// Node's own streams and on ours.
import { once } from 'node:events'
import { PassThrough, Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { finished, pipeline } from 'node:stream/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { CARRIERS } from './carriers.ts'
import {
  arrival,
  closed,
  digestOf,
  endBoth,
  KIB,
  MIB,
  openOn,
  pattern,
  QUIET,
  settled,
  sha,
  take,
  turned,
} from './support.ts'

/** More than any carrier takes for a far end that does not read, the kernel's buffers included. */
const NEVER_FITS = 32 * MIB
const CHUNK = 64 * KIB

describe.each(CARRIERS)('$name', (carrier) => {
  it('D45: of a far end that does not read, the callbacks of what does not fit do not come, and finish neither', async () => {
    const { near, far } = await openOn(carrier)
    const chunk = pattern(CHUNK)
    let written = 0
    let finishes = 0
    near.once('finish', () => (finishes += 1))
    for (let sent = 0; sent < NEVER_FITS; sent += CHUNK) near.write(chunk, () => (written += CHUNK))
    near.end()
    const taken = await settled(() => written)
    expect(taken).toBeLessThan(NEVER_FITS)
    expect(finishes).toBe(0)
    expect(near.writableFinished).toBe(false)
    expect(near.writableLength).toBe(NEVER_FITS - taken)
    expect((await arrival(carrier, far, NEVER_FITS)).bytes).toBe(NEVER_FITS)
    await settled(() => written)
    expect(written).toBe(NEVER_FITS)
    expect([near.writableLength, near.writableFinished, finishes]).toEqual([0, true, 1])
  })

  it('write returns false at the mark, drain comes when nothing waits any more', async () => {
    const { near, far } = await openOn(carrier)
    const chunk = pattern(CHUNK)
    let sent = 0
    for (let round = 0; round < 3; round += 1) {
      while (near.write(chunk)) sent += CHUNK
      sent += CHUNK
      expect(near.writableNeedDrain).toBe(true)
      expect(near.writableLength).toBeGreaterThanOrEqual(near.writableHighWaterMark)
      const drained = once(near, 'drain')
      far.resume()
      await drained
      expect([near.writableNeedDrain, near.writableLength]).toEqual([false, 0])
      far.pause()
    }
    expect(sent).toBeGreaterThanOrEqual(3 * CHUNK)
  })

  it('callbacks come once each, in order', async () => {
    const { near, far } = await openOn(carrier)
    far.resume()
    const order: number[] = []
    for (let i = 0; i < 200; i += 1)
      near.write(pattern(1 + ((i * 997) % 9_000)), () => order.push(i))
    await new Promise<void>((resolve) => near.end(() => resolve()))
    expect(order).toEqual(Array.from({ length: 200 }, (_, i) => i))
  })

  it('pipeline into it resolves, and everything has arrived', async () => {
    const { near, far } = await openOn(carrier)
    const data = pattern(4 * MIB)
    const pieces = Array.from({ length: 400 }, (_, i) =>
      data.subarray(Math.floor((i * data.length) / 400), Math.floor(((i + 1) * data.length) / 400)),
    )
    const arrived = arrival(carrier, far, data.length)
    await pipeline(Readable.from(pieces), near, { end: true })
    expect(near.writableFinished).toBe(true)
    expect(await arrived).toEqual(digestOf(data))
  })

  it('pipeline through it and out of it carries bytes and end', async () => {
    // The opener's end() waits for the rest of the answer on wires without half-close.
    const { near, far } = turned(await openOn(carrier))
    const data = pattern(2 * MIB)
    const out = new PassThrough()
    const collected = buffer(out)
    const done = pipeline(far, out)
    near.end(data)
    await done
    expect(sha(await collected)).toBe(sha(data))
  })

  it('finished resolves when both directions are over', async () => {
    const pair = await openOn(carrier)
    const over = Promise.all([finished(pair.near), finished(pair.far)])
    pair.near.write('there')
    pair.far.write('back')
    await endBoth(pair)
    await over
  })

  it('finished rejects with ERR_STREAM_PREMATURE_CLOSE when it is destroyed before', async () => {
    const { near } = await openOn(carrier)
    const over = finished(near)
    near.destroy()
    await expect(over).rejects.toMatchObject({ code: 'ERR_STREAM_PREMATURE_CLOSE' })
  })

  it('destroy() has the callbacks of what waits called, once each', async () => {
    const { near } = await openOn(carrier)
    const calls = new Array<number>(NEVER_FITS / CHUNK).fill(0)
    const chunk = pattern(CHUNK)
    for (const i of calls.keys()) near.write(chunk, () => (calls[i]! += 1))
    await settled(() => near.writableLength)
    expect(calls.at(-1)).toBe(0)
    near.destroy()
    await closed(near)
    await delay(1)
    expect(calls.every((count) => count === 1)).toBe(true)
  })

  it('write after end gives ERR_STREAM_WRITE_AFTER_END, to its callback and as the error', async () => {
    const { near, far } = await openOn(carrier)
    far.resume()
    near.resume()
    near.end('the last')
    const told = once(near, 'error')
    const failure = new Promise((resolve) => near.write('too late', resolve))
    expect(await failure).toMatchObject({ code: 'ERR_STREAM_WRITE_AFTER_END' })
    expect(await told).toMatchObject([{ code: 'ERR_STREAM_WRITE_AFTER_END' }])
  })

  it('write after destroy gives its callback an error', async () => {
    const { near } = await openOn(carrier)
    near.destroy()
    await closed(near)
    const failure = await new Promise((resolve) => near.write('too late', resolve))
    expect(failure).toBeInstanceOf(Error)
    // node:http2 thinks of the end, or has a code of its own.
    if (carrier.name !== 'node:http2')
      expect(failure).toMatchObject({ code: 'ERR_STREAM_DESTROYED' })
  })

  it('cork holds writes back, uncork lets them go in order', async () => {
    const { near, far } = await openOn(carrier)
    near.write('first ')
    expect(String(await take(far, 6))).toBe('first ')
    near.cork()
    for (const word of ['one ', 'two ', 'three']) near.write(word)
    let early = 0
    const count = (chunk: Buffer): void => void (early += chunk.length)
    far.on('data', count).resume()
    await delay(QUIET)
    far.off('data', count).pause()
    expect([early, near.writableLength]).toEqual([0, 13])
    near.uncork()
    expect(String(await take(far, 13))).toBe('one two three')
  })

  it('empty writes call back in order and bring nothing', async () => {
    const { near, far } = turned(await openOn(carrier))
    const order: string[] = []
    near.write('', () => order.push('empty string'))
    near.write('a', () => order.push('a'))
    near.write(Buffer.alloc(0), () => order.push('empty buffer'))
    near.end('b', () => order.push('end'))
    const chunks: Buffer[] = []
    for await (const chunk of far as AsyncIterable<Buffer>) chunks.push(chunk)
    expect(String(Buffer.concat(chunks))).toBe('ab')
    expect(chunks.every((chunk) => chunk.length > 0)).toBe(true)
    expect(order).toEqual(['empty string', 'a', 'empty buffer', 'end'])
  })

  it('strings go in the encoding that is asked for, and Uint8Arrays as they are', async () => {
    const { near, far } = await openOn(carrier)
    near.write('€', 'utf8')
    near.write('00ff10', 'hex')
    near.write('AQID', 'base64')
    near.write('é', 'latin1')
    near.write('z', 'utf16le')
    near.setDefaultEncoding('latin1')
    near.write('ü')
    near.end(Uint8Array.of(1, 2, 3))
    const bytes = 'e282ac' + '00ff10' + '010203' + 'e9' + '7a00' + 'fc' + '010203'
    expect((await take(far, bytes.length / 2)).toString('hex')).toBe(bytes)
  })
})
