import fc from 'fast-check'
import { setTimeout } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { CloseCode } from '../../../src/engine/close-code.ts'
import { readTarget } from '../../../src/proxy/outbound/target-preamble.ts'
import { encodeAddress } from '../../../src/codec/address.ts'
import { concatBytes } from '../../../src/codec/bytes.ts'
import { fixture, fromHex } from '../../codec/vectors.ts'
import type { Vector } from '../../codec/vectors.ts'
import { readAll, streamPair } from '../support.ts'

const TARGET = { host: 'example.com', port: 443 }
const { invalid } = fixture('address') as { readonly invalid: readonly Vector[] }

describe('target preamble', () => {
  it('any segmentation gives the target, and what follows is still in the stream', async () => {
    const bytes = concatBytes([encodeAddress(TARGET), Buffer.from('early data')])
    const cuts = fc.array(fc.nat(bytes.length), { maxLength: 6 })
    await fc.assert(
      fc.asyncProperty(cuts, async (places) => {
        const [client, server] = streamPair()
        const target = readTarget(server)
        let start = 0
        for (const end of [...places.sort((a, b) => a - b), bytes.length]) {
          client.write(bytes.subarray(start, end))
          await new Promise((resolve) => setImmediate(resolve))
          start = end
        }
        client.end()
        expect(await target).toEqual(TARGET)
        expect((await readAll(server)).toString()).toBe('early data')
      }),
      { numRuns: 60 },
    )
  })

  it('an end directly behind the target is not lost', async () => {
    const [client, server] = streamPair()
    client.end(encodeAddress(TARGET))
    expect(await readTarget(server)).toEqual(TARGET)
    expect(await readAll(server)).toHaveLength(0)
  })

  it('bytes that are no address are ERR_TARGET_INVALID, with the reason as cause', async () => {
    for (const { hex, name } of invalid) {
      const [client, server] = streamPair()
      client.write(fromHex(hex))
      await expect(readTarget(server), name).rejects.toMatchObject({
        code: 'ERR_TARGET_INVALID',
        cause: { code: 'ERR_ADDRESS_INVALID' },
      })
    }
  })

  it('a stream that ends inside the address is ERR_TARGET_INVALID', async () => {
    const [client, server] = streamPair()
    client.end(encodeAddress(TARGET).subarray(0, 7))
    await expect(readTarget(server)).rejects.toMatchObject({ code: 'ERR_TARGET_INVALID' })
  })

  it('a stream that is silent is ERR_STREAM_TIMEOUT', async () => {
    const [client, server] = streamPair()
    client.write(encodeAddress(TARGET).subarray(0, 7))
    const target = readTarget(server, { timeout: 20 })
    await expect(target).rejects.toMatchObject({ code: 'ERR_STREAM_TIMEOUT' })
  })

  it('a stream may be silent without a limit', async () => {
    const [client, server] = streamPair()
    const target = readTarget(server, { timeout: Infinity })
    await setTimeout(20)
    client.write(encodeAddress(TARGET))
    expect(await target).toEqual(TARGET)
  })

  it('a stream that is reset or destroyed is no hang', async () => {
    const [client, server] = streamPair()
    const target = readTarget(server)
    client.reset(CloseCode.RemoteDisconnect)
    await expect(target).rejects.toMatchObject({ code: 'ERR_STREAM_RESET' })
    const [, other] = streamPair()
    other.peer.on('error', () => {})
    const second = readTarget(other)
    other.destroy()
    await expect(second).rejects.toMatchObject({ code: 'ERR_TARGET_INVALID' })
  })

  it('a stream that was over before is no hang', async () => {
    const [client, server] = streamPair()
    client.end()
    await readAll(server)
    await expect(readTarget(server)).rejects.toMatchObject({ code: 'ERR_TARGET_INVALID' })
  })

  it('leaves no listener behind', async () => {
    const [client, server] = streamPair()
    const before = server.eventNames().length
    client.write(encodeAddress(TARGET))
    await readTarget(server)
    expect(server.eventNames()).toHaveLength(before)
  })
})
