// How a stream ends: in one direction, in both, at once, with an error; and what each end is told of it.
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { CARRIERS, carriersWith } from './carriers.ts'
import {
  arrival,
  closed,
  digest,
  digestOf,
  endBoth,
  errorOf,
  KIB,
  MIB,
  openOn,
  pattern,
  record,
  settled,
  turned,
} from './support.ts'

describe.each(CARRIERS)('$name', (carrier) => {
  it('end() of the opener still lets the whole answer through', async () => {
    const { near, far } = await openOn(carrier)
    const [question, answer] = [pattern(100 * KIB), pattern(MIB, 2)]
    const asked = arrival(carrier, far, question.length)
    near.end(question)
    expect(await asked).toEqual(digestOf(question))
    far.resume().end(answer)
    expect(await digest(near)).toEqual(digestOf(answer))
    await Promise.all([closed(near), closed(far)])
    expect([near.errored, far.errored]).toEqual([null, null])
  })

  it('end() on both sides: end, finish, then close, once each and last', async () => {
    const pair = await openOn(carrier)
    const events = ['end', 'finish', 'error', 'close'] as const
    const [near, far] = [record(pair.near, ...events), record(pair.far, ...events)]
    pair.near.write('x')
    pair.far.write('y')
    await endBoth(pair)
    await settled(() => near.length + far.length)
    for (const seen of [near, far]) {
      expect(seen.toSorted()).toEqual(['close', 'end', 'finish'])
      expect(seen.at(-1)).toBe('close')
    }
  })

  it('destroy(error): its error once, then close, and nothing more', async () => {
    const { near, far } = await openOn(carrier)
    const seen = record(near, 'data', 'end', 'finish', 'error', 'close')
    far.write('on its way')
    const failure = new Error('the disk is full')
    const heard = errorOf(near)
    near.destroy(failure)
    near.destroy(new Error('another'))
    expect(await heard).toBe(failure)
    await closed(near)
    await settled(() => seen.length)
    expect(seen).toEqual(['error', 'close'])
    expect(near.errored).toBe(failure)
  })

  it('destroy(): close alone, once, and the other end closes too', async () => {
    const { near, far } = await openOn(carrier)
    const seen = record(near, 'data', 'end', 'finish', 'error', 'close')
    far.resume()
    near.destroy()
    near.destroy()
    await closed(near)
    // A socket that allows half-open ends its own direction itself.
    far.end()
    await closed(far)
    await settled(() => seen.length)
    expect(seen).toEqual(['close'])
  })

  it('end() of the one that was told is an end to the opener', async () => {
    const { near, far } = await openOn(carrier)
    far.end(pattern(300 * KIB))
    expect(await digest(near)).toEqual(digestOf(pattern(300 * KIB)))
    expect(near.errored).toBeNull()
  })

  it('destroyed and errored, closed and the ended flags tell the truth', async () => {
    const pair = await openOn(carrier)
    const { near, far } = pair
    expect([near.destroyed, near.closed, near.readable, near.writable]).toEqual([
      false,
      false,
      true,
      true,
    ])
    far.end('bye')
    await once(near.resume(), 'end')
    expect([near.readableEnded, near.readable]).toEqual([true, false])
    near.end()
    await Promise.all([closed(near), closed(far.resume())])
    expect([near.destroyed, near.writableFinished, near.errored]).toEqual([true, true, null])
  })

  it('the end of a connection ends its streams', async () => {
    const { near, far, connection } = await openOn(carrier)
    const writing = pattern(KIB)
    near.write(writing)
    await once(far, 'data')
    near.on('error', () => {})
    connection.destroy()
    far.resume().end()
    await Promise.all([closed(near), closed(far)])
  })
})

describe('half-close, where the wire has it (a server of node:http2 has not)', () => {
  it.each(carriersWith('halfClose'))(
    '%s: after end() the other direction stays open',
    async (_name, carrier) => {
      for (const way of carrier.name === 'node:http2' ? ['there'] : ['there', 'back']) {
        const opened = await openOn(carrier)
        const { near, far } = way === 'there' ? opened : turned(opened)
        near.end('over here')
        expect((await digest(far)).bytes).toBe(9)
        await settled(() => Number(near.closed) + Number(far.closed))
        expect([near.destroyed, far.destroyed, far.writable]).toEqual([false, false, true])
        far.end(pattern(MIB))
        expect(await digest(near)).toEqual(digestOf(pattern(MIB)))
        await Promise.all([closed(near), closed(far)])
      }
    },
  )
})

describe('nothing queued (node:http2 says aborted, net-mux has only RST)', () => {
  it.each(carriersWith('quietDestroy'))(
    'D49: %s: destroy() is an end to the other side, not an error',
    async (_name, carrier) => {
      const { near, far } = await openOn(carrier)
      far.write('ready')
      expect(String(((await once(near, 'data')) as [Buffer])[0])).toBe('ready')
      await new Promise<void>((resolve) => near.write('all there is', () => resolve()))
      const arrived = digest(far)
      near.destroy()
      expect((await arrived).bytes).toBe(12)
      expect(far.errored).toBeNull()
    },
  )
})
