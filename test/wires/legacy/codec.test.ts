// The codecs of the original wire on their vectors: frames in and out, the first record, settings, text.
import { describe, expect, it } from 'vitest'
import { hashPassword } from '../../../src/tls/session-options.ts'
import { matchesLegacyAuth } from '../../../src/wires/legacy/auth.ts'
import { makeFrameDecoder } from '../../../src/wires/legacy/frame-decoder.ts'
import * as encode from '../../../src/wires/legacy/frame-encoder.ts'
import { MAX_PAYLOAD } from '../../../src/wires/legacy/frame.ts'
import type { Frame } from '../../../src/wires/legacy/frame.ts'
import { readText } from '../../../src/wires/legacy/peer-text.ts'
import {
  decodeClientSettings,
  decodeServerSettings,
  encodeClientSettingsText,
  encodeServerSettingsText,
} from '../../../src/wires/legacy/settings.ts'
import { concatBytes } from '../../../src/codec/bytes.ts'
import { ascii } from '../../support/v1-frames.ts'
import { embedded, fromHex, toHex } from '../../codec/vectors.ts'
import { readsOf } from '../anytls/checks.ts'
import { decodeAll, shown } from '../decoding.ts'
import { write } from './frames.ts'
import { fromRuns, HASH, pieces } from './support.ts'
import { authVectors, frameOf, frameVectors, settingsVectors } from './vectors.ts'

describe('frames', () => {
  it('every frame of the wire is decoded to the form in its vector', () => {
    for (const { name, hex, auth = false, frames } of frameVectors.valid) {
      const decoder = makeFrameDecoder(auth)
      const decoded = decodeAll(decoder, [embedded(fromRuns(hex))])
      expect(decoded, name).toEqual(frames.map(frameOf).map(shown))
      expect(decoder.unread(), name).toEqual([])
    }
  })

  it('byte by byte each vector gives the same frames', () => {
    for (const { name, hex, auth = false, frames } of frameVectors.valid) {
      const decoded = decodeAll(makeFrameDecoder(auth), pieces(fromRuns(hex), 1))
      expect(decoded, name).toEqual(frames.map(frameOf).map(shown))
    }
  })

  it('a chunk that ends in a head has the frames before it, and the next chunk the one with it', () => {
    const first = write.synack(1, 'behind which a head would still fit')
    const second = write.fin(2)
    for (let cut = 1; cut < second.length; cut += 1) {
      const decoder = makeFrameDecoder(false)
      const chunks = [concatBytes([first, second.subarray(0, cut)]), second.subarray(cut)]
      const [before, behind] = chunks.map((chunk) => decodeAll(decoder, [chunk]))
      expect(before, `${cut}`).toMatchObject([{ type: 'synack' }])
      expect(behind, `${cut}`).toMatchObject([{ type: 'fin' }])
    }
  })

  it('each canonical vector is what the encoder makes of its frames', () => {
    for (const { name, hex, frames } of frameVectors.valid.filter((one) => one.canonical)) {
      const encoded = frames.map((json) => encodeFrame(frameOf(json)))
      expect(toHex(concatBytes(encoded)), name).toBe(toHex(fromRuns(hex)))
    }
  })

  it('a frame that lacks bytes is no frame, and all of it is still unread', () => {
    for (const { name, hex, auth = false } of frameVectors.partial) {
      const bytes = fromRuns(hex)
      for (const size of [1, bytes.length]) {
        const decoder = makeFrameDecoder(auth)
        expect(decodeAll(decoder, pieces(bytes, size)), name).toEqual([])
        expect(toHex(concatBytes(decoder.unread())), name).toBe(toHex(bytes))
      }
    }
  })

  it('legacy-wire: data is skipped on every frame that should have none, and on unknown commands', () => {
    for (const command of [1, 3, 8, 9, 11, 12, 127, 255]) {
      for (const length of [1, 7, 65_535]) {
        const head = fromHex(
          `${command.toString(16).padStart(2, '0')}00000005${length.toString(16).padStart(4, '0')}`,
        )
        const bytes = concatBytes([head, new Uint8Array(length).fill(1), write.fin(9)])
        const last = decodeAll(makeFrameDecoder(false), [bytes]).at(-1)
        expect(last, `command ${command}, ${length} bytes`).toEqual({ type: 'fin', stream: 9 })
      }
    }
  })

  it('stream data are views of what was pushed, never copies', () => {
    const chunk = write.push(1, new Uint8Array(1_000))
    const decoder = makeFrameDecoder(false)
    decoder.push(chunk)
    const data = [decoder.next(), decoder.next()].find((one) => one?.type === 'push-data')
    expect(data?.data.buffer).toBe(chunk.buffer)
    expect(data?.data.length).toBe(1_000)
  })

  it('D17: a frame that is being judged is unread, with all that follows it, and nothing before it', () => {
    const frames = [write.syn(7), write.settings('x'.repeat(900)), write.syn(9, 'surplus')]
    for (const judged of frames) {
      for (const size of [1, 8, 300, 5_000]) {
        const rest = concatBytes([judged, write.waste(3)])
        const list = pieces(concatBytes([write.push(1, 'before'), rest]), size)
        const decoder = makeFrameDecoder(false)
        let decoded: Frame | undefined
        while (decoded === undefined || decoded.type.startsWith('push')) {
          decoded = decoder.next()
          if (decoded === undefined) decoder.push(list.shift()!)
        }
        expect(toHex(concatBytes([...decoder.unread(), ...list]))).toBe(toHex(rest))
      }
    }
  })

  it('a frame of ours with its head fills four TLS records exactly', () => {
    expect(MAX_PAYLOAD + 7).toBe(4 * 16_384)
    expect(MAX_PAYLOAD).toBeLessThanOrEqual(65_535)
  })
})

describe('the first record', () => {
  const hash = hashPassword(authVectors.password)

  it('D14, D18: it alone decides: fewer than 34 bytes or any wrong byte is a failure', () => {
    for (const { section, name, hex, matches } of authVectors.firstRecords) {
      const record = embedded(fromRuns(hex))
      expect(matchesLegacyAuth(record, hash), `${section}: ${name}`).toBe(matches)
    }
  })

  it('D14: each of the 256 bits of the hash counts, and none behind it', () => {
    const good = write.auth(2)
    for (let bit = 0; bit < 8 * good.length; bit += 1) {
      const record = good.slice()
      record[bit >> 3] = (record[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(matchesLegacyAuth(record, hash), `bit ${bit}`).toBe(bit >= 256)
    }
  })

  it('D14: a near miss is looked at in full: every byte of the hash is read for every record', () => {
    const reads = (record: Uint8Array): number =>
      readsOf(hash, (counting) => matchesLegacyAuth(record, counting))
    const all = reads(write.auth())
    expect(all).toBeGreaterThanOrEqual(32)
    for (const { name, hex } of authVectors.firstRecords) {
      expect(reads(fromRuns(hex)), name).toBe(all)
    }
  })
})

describe('settings', () => {
  it('legacy-wire: the lines of the client in any order, with a final LF or not', () => {
    for (const { name, text, ...expected } of settingsVectors.client) {
      const { version, client, schemeDigest } = expected
      expect(decodeClientSettings(new TextEncoder().encode(text)), name).toEqual({
        version,
        client,
        schemeDigest,
      })
    }
  })

  it('legacy-wire: the version in the settings of the server', () => {
    for (const { name, text, version } of settingsVectors.server) {
      expect(decodeServerSettings(ascii(text)), name).toBe(version)
    }
  })

  it('legacy-wire: a version may have two digits, and a line without = says nothing', () => {
    expect(decodeServerSettings(ascii('v=10'))).toBe(10)
    expect(decodeServerSettings(ascii('v=2\nvx'))).toBe(2)
  })

  it('bytes that are no UTF-8 are settings of version 1', () => {
    const body = fromHex('ff3d00fe0a763dff0a3d3d3d')
    expect(decodeClientSettings(body)).toEqual({ version: 1, client: '', schemeDigest: '' })
    expect(decodeServerSettings(body)).toBe(1)
  })

  it('legacy-wire: ours are lines joined by LF, none at the end', () => {
    const text = encodeClientSettingsText('test/1', '75cff2ad89aadf5e257059ee571ebe11')
    expect(new TextDecoder().decode(text)).toBe(settingsVectors.client[0]?.text)
    expect(new TextDecoder().decode(encodeServerSettingsText())).toBe('v=2')
  })
})

describe('text of a peer', () => {
  it('control characters, bidirectional marks and broken UTF-8 never come through', () => {
    const all = Uint8Array.from({ length: 256 }, (_, byte) => byte)
    const odd = new TextEncoder().encode('a\u001b]0;x\u0007 \u0085\u202e\u2028\ud7ff\u{1f511}')
    for (const bytes of [all, odd, fromHex('c0 80 ed a0 80 f8'.replaceAll(' ', ''))]) {
      expect(readText(bytes)).toMatch(/^[\x20-\x7e]+$/)
    }
    expect(readText(odd)).toBe('a?]0;x? ?????')
  })

  it('several lines become one, and no text is longer than 1,024 characters', () => {
    expect(readText(ascii('one\ntwo'))).toBe('one two')
    expect(readText(new Uint8Array(65_535).fill(0x41))).toBe('A'.repeat(1_024))
    expect(readText(new TextEncoder().encode('🔑'.repeat(5_000)))).toBe('?'.repeat(1_024))
  })
})

/** The bytes of a frame by the package's own encoder. */
function encodeFrame(one: Frame): Uint8Array {
  switch (one.type) {
    case 'auth':
      return encode.encodeAuthBlock(HASH, one.padding)
    case 'waste':
      return encode.encodeWaste(one.length)
    case 'syn':
      return encode.encodeSyn(one.stream)
    case 'push':
      return encode.encodePushHead(one.stream, one.length)
    case 'push-data':
      return one.data
    case 'fin':
      return encode.encodeFin(one.stream)
    case 'settings':
      return encode.encodeSettings(one.body)
    case 'alert':
      return encode.encodeAlert(one.body)
    case 'update-scheme':
      return encode.encodeUpdateScheme(one.body)
    case 'synack':
      return encode.encodeSynAck(one.stream, one.reason)
    case 'heartbeat-request':
      return encode.encodeHeartbeatRequest()
    case 'heartbeat-response':
      return encode.encodeHeartbeatResponse(one.stream)
    case 'server-settings':
      return encode.encodeServerSettings(one.body)
    case 'unknown':
      throw new Error('an unknown command is never sent')
  }
}
