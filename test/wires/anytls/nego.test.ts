// What the NEGO frames say: their keys, the choice of a version, and what is refused.
import { describe, expect, it } from 'vitest'
import {
  chooseVersion,
  decodeClientNegoBlock,
  decodeServerNegoBlock,
  encodeClientNegoBlock,
  encodeServerNegoBlock,
} from '../../../src/wires/anytls/nego.ts'
import { AnyTlsError, BlockError } from '../../../src/errors.ts'
import { ascii } from '../../support/v1-frames.ts'
import { thrownBy } from '../../codec/vectors.ts'

const text = (block: Uint8Array): string => new TextDecoder().decode(block)

const client = { versions: [1], client: 'a/1', schemeDigest: 'ff', mux1Window: undefined }

describe('client NEGO', () => {
  it('draft, Version Negotiation: the client NEGO MUST include version, implementation and padding scheme', () => {
    expect(text(encodeClientNegoBlock(client))).toBe('version=1\nclient=a/1\npadding-md5=ff\n')
    for (const key of ['version', 'client', 'padding-md5']) {
      const lines = ['version=1', 'client=a/1', 'padding-md5=ff'].filter(
        (line) => !line.startsWith(`${key}=`),
      )
      expectViolation(() => decodeClientNegoBlock(ascii(lines.join('\n') + '\n')), key)
    }
  })

  it('mux1, Negotiation: the offer adds extensions and window', () => {
    expect(text(encodeClientNegoBlock({ ...client, mux1Window: 262_144 }))).toBe(
      'version=1\nclient=a/1\npadding-md5=ff\nextensions=mux1\nwindow=262144\n',
    )
  })

  it('D19: keys come in any order, unknown ones are ignored, versions keep their order', () => {
    const block = 'x=1,2\npadding-md5=FF,00\nfuture=yes\nclient=a/1\nversion=3,2,1\n'
    expect(decodeClientNegoBlock(ascii(block))).toEqual({ ...client, versions: [3, 2, 1] })
  })

  it('what is encoded is decoded as the same', () => {
    for (const mux1Window of [undefined, 65_536, 9_007_199_254_740_991]) {
      const nego = { ...client, versions: [2, 1], mux1Window }
      expect(decodeClientNegoBlock(encodeClientNegoBlock(nego))).toEqual(nego)
    }
  })

  it('a name with a comma is one name', () => {
    const nego = decodeClientNegoBlock(ascii('version=1\nclient=a,b\npadding-md5=f\n'))
    expect(nego.client).toBe('a,b')
    expect(decodeServerNegoBlock(ascii('version=1\nserver=c,d\n')).server).toBe('c,d')
  })

  it('a version that is no number is carried and never chosen', () => {
    const { versions } = decodeClientNegoBlock(
      ascii('version=one,-1,1.0,1e0,99999999999999999\nclient=a\npadding-md5=f\n'),
    )
    expect(versions).toEqual([NaN, NaN, NaN, NaN, NaN])
    expect(chooseVersion(versions)).toBeUndefined()
  })

  it('mux1: an extension of another name is no offer', () => {
    const block = 'version=1\nclient=a\npadding-md5=f\nextensions=mux2,mux10\nwindow=1\n'
    expect(decodeClientNegoBlock(ascii(block)).mux1Window).toBeUndefined()
    const among = block.replace('mux2', 'mux1').replace('window=1', 'window=65536')
    expect(decodeClientNegoBlock(ascii(among)).mux1Window).toBe(65_536)
  })

  it('mux1: a window below 65,536, or none that is a number, is a violation', () => {
    const base = 'version=1\nclient=a\npadding-md5=f\nextensions=mux1\n'
    for (const line of ['', 'window=65535\n', 'window=0\n', 'window=-1\n', 'window=many\n']) {
      expectViolation(() => decodeClientNegoBlock(ascii(base + line)), 'window')
    }
  })

  it('draft, Appendix A: a block that breaks a rule is rejected as a violation that names it', () => {
    for (const [block, rule] of [
      ['', 'kv-empty-block'],
      ['version', 'kv-missing-lf'],
      ['version=1\nversion=1\n', 'kv-duplicate-key'],
      ['version=1 \n', 'kv-space'],
      ['version=1\r\n', 'kv-cr'],
    ]) {
      expectViolation(() => decodeClientNegoBlock(ascii(block ?? '')), rule ?? '')
      const error = expectViolation(() => decodeServerNegoBlock(ascii(block ?? '')), rule ?? '')
      expect(error.cause).toBeInstanceOf(BlockError)
    }
  })
})

describe('server NEGO', () => {
  it('draft, Version Negotiation: the server NEGO MUST include the version that it selected', () => {
    const nego = { version: 1, server: 'b/2', mux1Window: undefined }
    expect(text(encodeServerNegoBlock(nego))).toBe('version=1\nserver=b/2\n')
    expect(decodeServerNegoBlock(encodeServerNegoBlock(nego))).toEqual(nego)
    expectViolation(() => decodeServerNegoBlock(ascii('server=b/2\n')), 'version')
    expectViolation(() => decodeServerNegoBlock(ascii('version=1,2\n')), 'one version')
  })

  it('mux1, Negotiation: the answer has the same two keys', () => {
    const nego = { version: 1, server: 'b', mux1Window: 65_536 }
    expect(text(encodeServerNegoBlock(nego))).toBe(
      'version=1\nserver=b\nextensions=mux1\nwindow=65536\n',
    )
    expect(decodeServerNegoBlock(encodeServerNegoBlock(nego))).toEqual(nego)
  })

  it('D19: unknown keys are ignored, and a server may keep its name to itself', () => {
    expect(decodeServerNegoBlock(ascii('version=1\nmotd=hello\n'))).toEqual({
      version: 1,
      server: '',
      mux1Window: undefined,
    })
  })
})

describe('chooseVersion', () => {
  it('D19, D20: the first version that both speak, or none', () => {
    expect(chooseVersion([1])).toBe(1)
    expect(chooseVersion([3, 2, 1])).toBe(1)
    expect(chooseVersion([1, 2])).toBe(1)
    expect(chooseVersion([2])).toBeUndefined()
    expect(chooseVersion([])).toBeUndefined()
  })
})

function expectViolation(action: () => unknown, about: string): AnyTlsError {
  const error = thrownBy(action, about)
  if (!(error instanceof AnyTlsError)) throw new Error('it is no violation', { cause: error })
  expect(error.code).toBe('ERR_PROTOCOL_VIOLATION')
  expect(error.message).toContain(about)
  return error
}
