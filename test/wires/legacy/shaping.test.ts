// The original's form of shaping: its sizes by vectors, its waste frames to the byte, its Delivers.
import { describe, expect, it } from 'vitest'
import { encodeAuthBlock } from '../../../src/wires/legacy/frame-encoder.ts'
import { PADDING_FORMAT } from '../../../src/wires/legacy/frame-encoder.ts'
import { DEFAULT_SCHEME, parseScheme } from '../../../src/shaping/scheme.ts'
import { Shaper } from '../../../src/shaping/shaper.ts'
import { concatBytes } from '../../../src/codec/bytes.ts'
import { ascii } from '../../support/v1-frames.ts'
import { toHex } from '../../codec/vectors.ts'
import { authLength, readFrames, write } from './frames.ts'
import {
  authenticatedServer,
  bytesOf,
  HASH,
  makeClient,
  openClient,
  openServer,
  saidInWrites,
  send,
  settingsText,
} from './support.ts'
import { shaperVectors } from './vectors.ts'

describe('waste frames', () => {
  it('legacy-wire, Shaping: a gap of L - n is filled by L - n - 7 bytes of waste data if that is above 0', () => {
    for (let gap = 0; gap <= 7; gap += 1) expect(PADDING_FORMAT.fill(gap), `${gap}`).toBeUndefined()
    for (let gap = 8; gap <= 1_100; gap += 1) {
      expect(toHex(PADDING_FORMAT.fill(gap) ?? ascii('')), `${gap}`).toBe(
        toHex(write.waste(gap - 7)),
      )
    }
  })

  it('legacy-wire, Shaping: with nothing left, L bytes of waste data make L + 7 on the wire', () => {
    for (const target of [1, 6, 7, 8, 500, 16_384, 65_535]) {
      const frame = PADDING_FORMAT.alone(target)
      expect(toHex(frame ?? ascii('')), `${target}`).toBe(toHex(write.waste(target)))
      expect(frame?.length).toBe(target + 7)
    }
  })
})

describe('Delivers', () => {
  it('legacy-wire, Shaping: splits, pads and adds as the vectors have it', () => {
    for (const { name, scheme, authPadding, draws, delivers } of shaperVectors.cases) {
      const left = [...draws]
      const draw = (min: number, max: number): number => {
        const value = left.shift() ?? NaN
        if (!(value >= min && value < max)) throw new Error(`${value} from [${min}, ${max})`)
        return value
      }
      const shaper = new Shaper(parseScheme(scheme), draw, PADDING_FORMAT)
      expect(shaper.authPadding(), name).toBe(authPadding)
      for (const [index, { data, writes }] of delivers.entries()) {
        const bytes = new Uint8Array(data).fill(0x61)
        const made = shaper.deliver(bytes)
        expect(
          made.map(({ length }) => length),
          `${name}, Deliver ${index}`,
        ).toEqual(writes)
        const all = concatBytes(made)
        expect(Buffer.compare(all.subarray(0, data), bytes), name).toBe(0)
        const { frames, rest } = readFrames(all, data)
        expect(rest, name).toBe(all.length)
        expect(
          frames.filter(({ command, stream }) => command !== 0 || stream !== 0),
          name,
        ).toEqual([])
      }
      expect(left, name).toEqual([])
    }
  })

  it('legacy-wire, Shaping: the digest of the built-in scheme is the one that the reference has', () => {
    expect(DEFAULT_SCHEME.digest).toBe('75cff2ad89aadf5e257059ee571ebe11')
  })

  it('legacy-wire, Shaping: the authentication block is Deliver 0, settings + SYN + PSH are 1, FIN counts', () => {
    const scheme = parseScheme('stop=4\n0=30-30\n1=200-200\n2=100-100,c,50-50\n3=9-9,40-40')
    const client = makeClient({ scheme })
    client.openStream(0)
    send(client, 1, 'target', 0)
    send(client, 1, 'hello', 0)
    client.resetStream(1, 0, '', 0)
    const writes = client.takeWrites()
    expect(writes.map(({ bytes, shaped }) => [bytes, shaped])).toEqual([
      [64, true],
      [200, true],
      [100, true],
      [7, true],
      [47, true],
    ])
    expect(toHex(bytesOf(writes.slice(0, 1)))).toBe(toHex(encodeAuthBlock(HASH, 30)))
    expect(client.shaping).toBe(false)
  })

  it('D33: every shaped Write is one part, whatever the Deliver was made of', () => {
    const client = makeClient({ scheme: DEFAULT_SCHEME })
    client.openStream(0)
    client.sendData(1, [ascii('one'), ascii('two'), new Uint8Array(3_000)], 3_006, 0)
    const writes = client.takeWrites()
    expect(writes.every(({ parts, shaped }) => parts.length === 1 && shaped)).toBe(true)
    const bytes = bytesOf(writes)
    const { frames, rest } = readFrames(bytes, authLength(bytes))
    expect(rest).toBe(bytes.length)
    expect(frames.map(({ command }) => command).filter((command) => command !== 0)).toEqual([
      4, 1, 2,
    ])
  })

  it('legacy-wire, Shaping: applies while the counter is below stop, and never after', () => {
    const client = makeClient({ scheme: parseScheme('stop=3\n1=300-300\n2=300-300\n3=300-300') })
    client.openStream(0)
    for (const text of ['a', 'b', 'c', 'd']) send(client, 1, text, 0)
    expect(client.takeWrites().map(({ bytes, shaped }) => [bytes, shaped])).toEqual([
      [34, true],
      [300, true],
      [300, true],
      [16, false],
    ])
  })

  it('D28: even a scheme that shapes nothing leaves the authentication block in a Write of its own', () => {
    const client = makeClient({ scheme: parseScheme('stop=0\n0=5-5') })
    client.openStream(0)
    send(client, 1, 'x', 0)
    send(client, 1, 'y', 0)
    expect(saidInWrites(client).map((frames) => frames.map((one) => one.split(' ')[0]))).toEqual([
      ['AUTH'],
      ['SETTINGS', 'SYN', 'PSH', 'PSH'],
    ])
  })

  it('restart=N: a stream that is opened late is shaped again from N on, at either end', () => {
    const scheme = parseScheme('stop=3\nrestart=2\n1=300-300\n2=200-200')
    const client = openClient({ scheme })
    client.takeWrites()
    const server = openServer({ downlinkScheme: scheme })
    for (const id of [1, 2]) {
      client.openStream(0)
      server.receive(write.syn(id), 0)
      for (const machine of [client, server]) {
        send(machine, id, 'first', 0)
        send(machine, id, 'second', 0)
        expect(machine.takeWrites().map(({ bytes }) => bytes)).toEqual(
          machine === server && id === 1 ? [300, 200] : [200, 13],
        )
      }
    }
  })

  it('legacy-wire, Shaping: what has no size is left as it is, control frames too', () => {
    const scheme = parseScheme('stop=9\n0=7-7\n6=60-60')
    const client = openClient({ scheme })
    client.ping(0)
    const server = openServer({ downlinkScheme: scheme })
    server.receive(write.ping(9), 0)
    for (const machine of [client, server]) {
      expect(machine.takeWrites().map(({ bytes, shaped }) => [bytes, shaped])).toEqual([[7, true]])
    }
  })

  it('D34: a server shapes its direction when it is told to, and answers settings in one Deliver', () => {
    const downlinkScheme = parseScheme('stop=3\n1=50-50\n2=60-60')
    const server = openServer({ downlinkScheme })
    server.receive(write.syn(1), 0)
    server.acceptStream(1, 0)
    send(server, 1, 'hello', 0)
    send(server, 1, 'world', 0)
    expect(server.takeWrites().map(({ bytes, shaped }) => [bytes, shaped])).toEqual([
      [50, true],
      [60, true],
      [12, false],
    ])
    const other = authenticatedServer({ downlinkScheme })
    other.receive(write.settings(settingsText(2, 'another digest')), 0)
    expect(saidInWrites(other)).toEqual([['SCHEME stop=0', 'SERVER v=2']])
  })
})
