// What a reader gets: Buffers of its own, every byte once and in order, in each of the ways Node has to read.
import { once } from 'node:events'
import { Duplex, Readable, Writable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { CARRIERS, carriersWith } from './carriers.ts'
import {
  arrival,
  closed,
  connectOn,
  digest,
  digestOf,
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

describe.each(CARRIERS)('$name', (carrier) => {
  it.each(['there', 'back'])('chunks that are kept stay right: %s', async (way) => {
    const opened = await openOn(carrier)
    const { near, far } = way === 'there' ? opened : turned(opened)
    const data = pattern(8 * MIB)
    const kept: Buffer[] = []
    const copies: Buffer[] = []
    let bytes = 0
    const whole = new Promise<void>((resolve) => {
      far.on('data', (chunk: Buffer) => {
        kept.push(chunk)
        copies.push(Buffer.from(chunk))
        bytes += chunk.length
        if (bytes === data.length) resolve()
      })
    })
    // Small ones first: what is joined or cut with others is the likeliest to be lent.
    for (let at = 0; at < 20 * KIB; at += 100) near.write(data.subarray(at, at + 100))
    near.write(data.subarray(20_500))
    await whole
    expect(kept.length).toBeGreaterThan(100)
    expect(sha(...copies)).toBe(sha(data))
    expect(sha(...kept)).toBe(sha(data))
  })

  it('what is done to a chunk harms no other', async () => {
    const { near, far } = await openOn(carrier)
    const data = pattern(4 * MIB)
    const copies: Buffer[] = []
    let bytes = 0
    near.write(data)
    await new Promise<void>((resolve) => {
      far.on('data', (chunk: Buffer) => {
        copies.push(Buffer.from(chunk))
        chunk.fill(0xee)
        bytes += chunk.length
        if (bytes === data.length) resolve()
      })
    })
    expect(sha(...copies)).toBe(sha(data))
    // And the writer's bytes are the writer's.
    expect(sha(data)).toBe(sha(pattern(4 * MIB)))
  })

  it('every chunk is a Buffer: data, read(), read(n), for await', async () => {
    const { near, far } = turned(await openOn(carrier))
    near.write(pattern(100))
    const [first] = (await once(far, 'data')) as [unknown]
    far.pause()
    near.write(pattern(100))
    await once(far, 'readable')
    const second: unknown = far.read(10)
    const third: unknown = far.read()
    near.end(pattern(100 * KIB))
    const chunks: unknown[] = []
    for await (const chunk of far) chunks.push(chunk)
    expect([first, second, third, ...chunks].every((chunk) => Buffer.isBuffer(chunk))).toBe(true)
  })

  it('setEncoding gives whole characters, and flow control goes on counting bytes', async () => {
    const { near, far } = turned(await openOn(carrier))
    const words = 'grüße €uro 日本語 🙂 '.repeat(145_000)
    expect(Buffer.byteLength(words)).toBeGreaterThan(4 * MIB)
    far.setEncoding('utf8')
    let text = ''
    let chunks = 0
    far.on('data', (chunk: string) => {
      text += chunk
      chunks += 1
      if (chunks % 10 !== 0) return
      far.pause()
      setTimeout(() => far.resume(), 1)
    })
    near.end(words)
    await once(far, 'end')
    expect(text === words).toBe(true)
  })

  it('setEncoding may come when data already waits', async () => {
    const { near, far } = turned(await openOn(carrier))
    near.end(pattern(200 * KIB))
    await delay(QUIET)
    far.setEncoding('hex')
    let text = ''
    for await (const chunk of far) text += String(chunk)
    expect(sha(Buffer.from(text, 'hex'))).toBe(sha(pattern(200 * KIB)))
  })

  it('readable and read(n) give exactly n bytes, up to half of the smallest window', async () => {
    const { near, far } = turned(await openOn(carrier))
    const data = pattern(2 * MIB)
    near.end(data)
    const sizes = [1, 7, 100, 16_384, 32_768]
    const pieces: Buffer[] = []
    let at = 0
    far.on('readable', () => {
      for (;;) {
        // Nothing at the end: that asks for the end.
        const size = Math.min(sizes[pieces.length % sizes.length]!, data.length - at)
        const piece = far.read(size) as Buffer | null
        if (piece === null) return
        if (piece.length !== size) throw new Error(`${piece.length} bytes instead of ${size}`)
        pieces.push(piece)
        at += size
      }
    })
    await once(far, 'end')
    expect(sha(...pieces)).toBe(sha(data))
  })

  it('for await reads all and comes to its end', async () => {
    const { near, far } = turned(await openOn(carrier))
    const data = pattern(3 * MIB)
    near.end(data)
    const chunks: Buffer[] = []
    for await (const chunk of far as AsyncIterable<Buffer>) chunks.push(chunk)
    expect(sha(...chunks)).toBe(sha(data))
  })

  it('leaving a for await loop destroys the stream', async () => {
    const { near, far } = await openOn(carrier)
    near.write('first')
    near.on('error', () => {})
    for await (const chunk of far) {
      expect(String(chunk)).toBe('first')
      break
    }
    expect(far.destroyed).toBe(true)
    near.resume().end()
    await closed(near)
  })

  it('pause() stops data at once, resume() loses nothing', async () => {
    const { near, far } = await openOn(carrier)
    const data = pattern(2 * MIB)
    const chunks: Buffer[] = []
    let bytes = 0
    let paused = false
    const whole = new Promise<void>((resolve) => {
      far.on('data', (chunk: Buffer) => {
        expect(paused).toBe(false)
        chunks.push(chunk)
        bytes += chunk.length
        if (bytes === data.length) resolve()
        else if (chunks.length % 7 === 0) {
          far.pause()
          paused = true
          setTimeout(() => {
            paused = false
            far.resume()
          }, 2)
        }
      })
    })
    near.write(data)
    await whole
    expect(sha(...chunks)).toBe(sha(data))
  })

  it('what came before anybody listened waits for its reader', async () => {
    const { near, far } = turned(await openOn(carrier))
    near.end(pattern(30 * KIB))
    await delay(QUIET)
    expect(await digest(far)).toEqual(digestOf(pattern(30 * KIB)))
  })

  it('unshift gives bytes back', async () => {
    const { near, far } = turned(await openOn(carrier))
    const data = pattern(600 * KIB)
    near.end(data)
    const head = await take(far, 10 * KIB)
    far.unshift(head)
    expect(await digest(far)).toEqual(digestOf(data))
  })

  it('a writer stops when nobody reads, and goes on when somebody does', async () => {
    const { near, far } = await openOn(carrier)
    let sent = 0
    const chunk = pattern(64 * KIB)
    const fill = (): void => {
      while (sent < 64 * MIB && near.write(chunk)) sent += chunk.length
    }
    near.on('drain', fill)
    fill()
    const stopped = await settled(() => sent)
    expect(stopped).toBeLessThan(32 * MIB)
    near.off('drain', fill)
    far.resume()
    await once(near, 'drain')
    expect(near.writableLength).toBe(0)
  })

  it('Writable.toWeb and Readable.toWeb carry bytes and their end', async () => {
    const { near, far } = turned(await openOn(carrier))
    const data = pattern(2 * MIB)
    const writer = Writable.toWeb(near).getWriter()
    const write = async (): Promise<void> => {
      for (let at = 0; at < data.length; at += 50_000) {
        await writer.write(data.subarray(at, at + 50_000))
      }
      await writer.close()
    }
    const written = write()
    // Both see a Duplex, and wait for its other direction too.
    near.resume()
    far.end()
    const chunks: Uint8Array[] = []
    for await (const chunk of Readable.toWeb(far) as AsyncIterable<Uint8Array>) chunks.push(chunk)
    expect(sha(...chunks)).toBe(sha(data))
    await written
  })

  it('Duplex.toWeb echoes', async () => {
    const { near, far } = await openOn(carrier)
    far.pipe(far)
    const { readable, writable } = Duplex.toWeb(near)
    const writer = writable.getWriter()
    const reader = readable.getReader()
    await writer.write(Buffer.from('hello'))
    const { value } = (await reader.read()) as { value?: Uint8Array }
    expect(Buffer.from(value!).toString()).toBe('hello')
    await reader.cancel()
    await closed(near)
  })
})

describe('with credit', () => {
  it.each(carriersWith('credit'))(
    '%s: a reader that pauses for ever does not stop its siblings',
    async (_name, carrier) => {
      const connection = await connectOn(carrier)
      const silent = await connection.open()
      const sibling = await connection.open()
      const data = pattern(4 * MIB)
      silent.near.write(data)
      silent.far.write(data)
      const [there, back] = [
        arrival(carrier, sibling.far, data.length),
        arrival(carrier, sibling.near, data.length),
      ]
      sibling.near.write(data)
      sibling.far.write(data)
      if (carrier.caps.halfClose) {
        sibling.near.end()
        sibling.far.end()
      }
      expect(await Promise.all([there, back])).toEqual([digestOf(data), digestOf(data)])
      // What waited is all there.
      const [first, second] = await Promise.all([
        take(silent.near, data.length),
        take(silent.far, data.length),
      ])
      expect([sha(first), sha(second)]).toEqual([sha(data), sha(data)])
    },
  )
})
