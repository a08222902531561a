// Ends before their time: what still waits, what comes too late, and what the peer is told of it (D49).
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { CARRIERS, carriersWith } from './carriers.ts'
import { closed, errorOf, KIB, MIB, openOn, pattern, record, settled, turned } from './support.ts'

describe.each(CARRIERS)('$name', (carrier) => {
  it('a long answer from the end listener to a peer that is gone closes soon', async () => {
    const { near, far } = turned(await openOn(carrier))
    far.once('end', () => {
      for (let i = 0; i < 64; i += 1) far.write(pattern(16 * KIB))
      far.end()
    })
    far.resume()
    near.write('a question')
    await once(far, 'data')
    near.destroy()
    const started = performance.now()
    // Whether it hears an error is the wire's to say.
    far.on('error', () => {})
    await closed(far)
    expect(performance.now() - started).toBeLessThan(2_000)
  })
})

describe('reasons, where the wire has them', () => {
  it.each(carriersWith('reasons'))(
    'D49: %s: destroy() with bytes queued is no clean end',
    async (_name, carrier) => {
      for (const way of ['there', 'back']) {
        const opened = await openOn(carrier)
        const { near, far } = way === 'there' ? opened : turned(opened)
        near.write(pattern(8 * MIB))
        await settled(() => near.writableLength)
        const heard = errorOf(far)
        const ends = record(far, 'end')
        near.destroy()
        far.resume()
        expect(await heard).toMatchObject({ code: 'ERR_STREAM_RESET', closeCode: 1 })
        await closed(far)
        expect(ends).toEqual([])
      }
    },
  )

  it.each(carriersWith('reasons'))(
    '%s: destroy(error) in the middle is no clean end',
    async (_name, carrier) => {
      const { near, far } = await openOn(carrier)
      // v1 has reasons once it has heard that the server takes mux1.
      far.write('ready')
      await once(near, 'data')
      near.write('half a sen')
      await once(far, 'data')
      const heard = errorOf(far)
      near.on('error', () => {})
      near.destroy(new Error('never mind'))
      expect(await heard).toMatchObject({ code: 'ERR_STREAM_RESET', closeCode: 1 })
    },
  )
})
