// The encoder of Mux.Pro against its vectors.
import { describe, expect, it } from 'vitest'
import type { AnyTlsError } from '../../../src/errors.ts'
import {
  encodeCreditUpdate,
  encodeDataHead,
  encodeEnd,
  encodeKeep,
  encodeKeepAlive,
  encodeNegotiate,
  encodeNew,
  withInitialData,
} from '../../../src/wires/muxpro/frame-encoder.ts'
import type { Frame } from '../../../src/wires/muxpro/frame.ts'
import { concatBytes } from '../../../src/codec/bytes.ts'
import { fromRuns } from '../anytls/support.ts'
import { thrownBy, toHex } from '../../codec/vectors.ts'
import { frameOf, muxproVectors } from './vectors.ts'

const canonical = muxproVectors.valid.filter((vector) => vector.canonical === true)

describe('encoding', () => {
  it('gives the bytes of every canonical vector', () => {
    expect(canonical.length).toBeGreaterThan(25)
    for (const { section, name, hex, frames } of canonical) {
      expect(toHex(encodeAll(frames.map(frameOf))), `${section}: ${name}`).toBe(
        toHex(fromRuns(hex)),
      )
    }
  })

  it('D37: the options are the fourth byte of the metadata, in every frame', () => {
    const TCP = { network: 'tcp', target: { host: '192.0.2.1', port: 80 }, priority: 0 } as const
    const frames = {
      negotiate: [encodeNegotiate([0]), 0, 1],
      'negotiate, the other form': [encodeNegotiate([0], 'extra-data'), 0, 1],
      new: [encodeNew(1, TCP), 1, 0],
      'new with data': [withInitialData(encodeNew(1, TCP), 5), 1, 1],
      keep: [encodeKeep(1), 2, 0],
      'keep with data': [encodeDataHead(1, 5), 2, 1],
      end: [encodeEnd(1, 0), 3, 0],
      'end with a code': [encodeEnd(1, 6), 3, 1],
      'keep-alive': [encodeKeepAlive(), 4, 0],
      credit: [encodeCreditUpdate(1, 1), 5, 1],
    } as const
    for (const [name, [bytes, state, opt]] of Object.entries(frames)) {
      expect([bytes[4], bytes[5]], name).toEqual([state, opt])
    }
  })

  it('has a canonical vector for every frame', () => {
    const types = new Set(canonical.flatMap(({ frames }) => frames.map(({ type }) => type)))
    expect([...types].sort()).toEqual(
      ['credit', 'data', 'end', 'keep', 'keep-alive', 'negotiate', 'new'].sort(),
    )
  })

  it('section 6.3.2: a target or a priority that cannot be told is refused', () => {
    const request = { network: 'tcp', target: { host: 'a', port: 1 }, priority: 0 } as const
    const wrong = [
      [{ ...request, priority: 256 }, 'ERR_OPTION_INVALID'],
      [{ ...request, priority: -1 }, 'ERR_OPTION_INVALID'],
      [{ ...request, priority: 0.5 }, 'ERR_OPTION_INVALID'],
      [{ ...request, target: { host: '', port: 1 } }, 'ERR_ADDRESS_INVALID'],
      [{ ...request, target: { host: 'a b', port: 1 } }, 'ERR_ADDRESS_INVALID'],
      [{ ...request, target: { host: 'a', port: 65_536 } }, 'ERR_ADDRESS_INVALID'],
    ] as const
    for (const [value, code] of wrong) {
      const error = thrownBy(() => encodeNew(1, value), JSON.stringify(value))
      expect((error as AnyTlsError).code, JSON.stringify(value)).toBe(code)
    }
  })
})

/** The bytes of frames, data joined to the New or Keep before it. */
function encodeAll(frames: readonly Frame[]): Uint8Array {
  const parts: Uint8Array[] = []
  for (const [index, frame] of frames.entries()) {
    const next = frames[index + 1]
    const data = next?.type === 'data' ? next.data : undefined
    switch (frame.type) {
      case 'negotiate':
        parts.push(encodeNegotiate(frame.versions, frame.countPlace))
        break
      case 'new': {
        const head = encodeNew(frame.stream, frame.request)
        parts.push(data === undefined ? head : withInitialData(head, data.length))
        break
      }
      case 'keep':
        parts.push(
          data === undefined ? encodeKeep(frame.stream) : encodeDataHead(frame.stream, data.length),
        )
        break
      case 'data':
        parts.push(frame.data)
        break
      case 'end':
        parts.push(encodeEnd(frame.stream, frame.code))
        break
      case 'keep-alive':
        parts.push(encodeKeepAlive())
        break
      case 'credit':
        parts.push(encodeCreditUpdate(frame.stream, frame.increment))
        break
      case 'new-unusable':
        expect.fail('nothing encodes what cannot be used')
    }
  }
  return concatBytes(parts)
}
