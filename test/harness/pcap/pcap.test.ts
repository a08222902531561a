import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect as connectTcp, createServer as createTcpServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from 'node:tls'
import type { ConnectionOptions, TlsOptions } from 'node:tls'
import fc from 'fast-check'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterAll, describe, expect, it } from 'vitest'
import { encodeCaptureLine } from '../../../src/harness/capture/capture-event.ts'
import { captureEvents, parseCapture } from '../../../src/harness/capture/capture-parser.ts'
import { ConnectionTable } from '../../../src/harness/pcap/capture-from-packets.ts'
import type { CapturedPackets } from '../../../src/harness/pcap/capture-from-packets.ts'
import { PacketReader } from '../../../src/harness/pcap/packet-reader.ts'
import { sourceFromCapture } from '../../../src/harness/report/from-capture.ts'
import { requireProgram } from '../../support/programs.ts'
import { seededRandomInt } from '../../support/seeded-random.ts'
import { startTlsServer } from '../../support/server.ts'
import {
  disturbed,
  Flag,
  LINKS,
  packetOf,
  pcapFile,
  pcapngFile,
  record,
  segmentsOf,
} from './packets.ts'
import type { FileOptions, PacketOptions, Segment, Turn } from './packets.ts'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

const tshark = requireProgram('tshark')
const folder = mkdtempSync(join(tmpdir(), 'pcap-'))
afterAll(() => rmSync(folder, { recursive: true }))

const OPTIONS: PacketOptions = {
  ...{ link: 'ethernet', v6: false, clientPort: 50_000 },
  // Wraps within a connection.
  initial: { up: 0xffff_fc00, down: 0x8000_0000 },
}
const FILE: FileOptions = { link: 'ethernet', little: true, nano: false }

function read(file: Uint8Array, chunk = 1 << 20, maxRecords = 1_000_000): CapturedPackets {
  const table = new ConnectionTable(maxRecords)
  const reader = new PacketReader((packet) => table.push(packet))
  for (let at = 0; at < file.length; at += chunk) reader.push(file.subarray(at, at + chunk))
  reader.end()
  return table.end()
}

const bytesOf = ({ connections }: CapturedPackets) =>
  connections.map(({ records }) =>
    (['up', 'down'] as const).map((direction) =>
      records.filter((found) => found.direction === direction).map(({ bytes }) => bytes),
    ),
  )

/** Records of these sizes, each with its head. */
const turn = (direction: 'up' | 'down', ...sizes: number[]): Turn => ({
  direction,
  bytes: Buffer.concat(sizes.map((size, index) => record(index === 0 ? 22 : 23, size))),
})

const HELLO = turn('up', 300)
const TURNS = [HELLO, turn('down', 90, 2_000, 60), turn('up', 50, 700), turn('down', 16_384, 1)]
const SIZES = [
  [305, 55, 705],
  [95, 2_005, 65, 16_389, 6],
]

const fileOf = (segments: readonly Segment[], options = OPTIONS, file = FILE, ng = false) =>
  (ng ? pcapngFile : pcapFile)(
    segments.map((segment) => packetOf(segment, options)),
    file,
  )

describe('pcap and pcapng', () => {
  const random = seededRandomInt(4)
  const kinds = LINKS.flatMap((link) =>
    [false, true].flatMap((v6) => [false, true].map((ng) => ({ link, v6, ng }))),
  )
  it.for(kinds)(
    '$link, IPv6 $v6, pcapng $ng, in any byte order and resolution',
    ({ link, v6, ng }) => {
      for (const little of [false, true]) {
        for (const nano of [false, true]) {
          const segments = segmentsOf(TURNS, random)
          const found = read(fileOf(segments, { ...OPTIONS, link, v6 }, { link, little, nano }, ng))
          expect(bytesOf(found)).toEqual([SIZES])
          const [connection] = found.connections
          expect(connection).toMatchObject({ opened: 0, notTls: [], lost: [] })
          const last = (segments.length - 1) * 1.5
          expect(connection?.close).toEqual({ time: last, reason: 'end', up: 1_065, down: 18_560 })
          // The ClientHello is whole with the last of its segments.
          const index = segments.findIndex(({ offset, data }) => offset + data.length >= 305)
          expect(connection?.records[0]?.time).toBe(index * 1.5)
        }
      }
    },
  )

  it('are read in pieces as they are in one', () => {
    const segments = segmentsOf(TURNS, random)
    for (const ng of [false, true]) {
      const file = fileOf(segments, OPTIONS, FILE, ng)
      for (const chunk of [1, 7, 100, 4_096]) expect(read(file, chunk)).toEqual(read(file))
    }
  })

  it('give a capture that the parser takes', () => {
    const { connections } = read(fileOf(disturbed(segmentsOf(TURNS, random), random)))
    const header = { format: 'anytls-capture', version: 1, from: 'pcap' } as const
    const events = [...captureEvents({ header, connections, cutOff: false })]
    const text = [header, ...events].map((line) => encodeCaptureLine(line)).join('')
    expect(parseCapture(text).connections).toEqual(connections)
    expect(text).not.toMatch(/192|50000|443/)
  })

  it('segments that are repeated, reordered, and overlap give the same records', () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 20, max: 3_000 }), (seed, most) => {
        const draw = seededRandomInt(seed)
        const found = read(fileOf(disturbed(segmentsOf(TURNS, draw, most), draw)))
        expect(bytesOf(found)).toEqual([SIZES])
        expect(found.connections[0]?.close?.reason).toBe('end')
      }),
      { numRuns: 30 },
    )
  })

  it('several connections at once, one after the other between the same ports, too', () => {
    const first = segmentsOf(TURNS, random)
    const second = segmentsOf([HELLO, turn('down', 70)], random)
    const packets: Uint8Array[] = []
    const other = { ...OPTIONS, clientPort: 50_001 }
    for (let index = 0; index < Math.max(first.length, second.length); index += 1) {
      if (first[index]) packets.push(packetOf(first[index]!, OPTIONS))
      if (second[index]) packets.push(packetOf(second[index]!, other))
    }
    const again = { ...OPTIONS, initial: { up: 5, down: 6 } }
    packets.push(...second.map((segment) => packetOf(segment, again)))
    const { connections } = read(pcapFile(packets, FILE))
    const short = [[305], [75]]
    expect(bytesOf({ connections, leftOut: { withoutTls: 0, underWay: 0 } })).toEqual([
      ...[SIZES, short, short],
    ])
    expect(connections.map(({ connection }) => connection)).toEqual([1, 2, 3])
  })

  it('bytes that nobody captured cost nothing within a record, and the rest of a direction else', () => {
    const segments = segmentsOf(TURNS, seededRandomInt(1), 400)
    const full = segments.filter(({ direction }) => direction === 'down')
    const large = full.findIndex(({ offset }) => offset > 2_165 + 3_000)
    const inside = segments.filter((segment) => segment !== full[large])
    expect(bytesOf(read(fileOf(inside)))).toEqual([SIZES])
    const head = full.find(({ offset, data }) => offset <= 2_165 && offset + data.length > 2_165)
    const found = read(fileOf(segments.filter((segment) => segment !== head)))
    expect(found.connections[0]?.lost).toEqual(['down'])
    expect(bytesOf(found)[0]?.[0]).toEqual(SIZES[0])
    expect(SIZES[1]?.slice(0, bytesOf(found)[0]![1]!.length)).toEqual(bytesOf(found)[0]![1])
  })

  it('packets of which only the beginning was kept: as far as the heads of records are there', () => {
    const draw = () => 1_400
    const segments = segmentsOf([HELLO, turn('down', 5_000), turn('down', 40)], draw)
    expect(bytesOf(read(fileOf(segments, OPTIONS, { ...FILE, snap: 128 })))).toEqual([
      [[305], [5_005, 45]],
    ])
  })

  it('leaves out what is not TLS, and what began before; a ClientHello without SYN will do', () => {
    const http: Turn = { direction: 'up', bytes: Buffer.from('GET / HTTP/1.1\r\n\r\n') }
    expect(read(fileOf(segmentsOf([http], random))).leftOut).toEqual({ withoutTls: 1, underWay: 0 })
    const whole = segmentsOf(TURNS, random)
    const late = whole.slice(
      whole.findIndex(({ direction, offset }) => direction === 'down' && offset > 95),
    )
    expect(read(fileOf(late))).toMatchObject({ connections: [], leftOut: { underWay: 1 } })
    const hello = segmentsOf(
      [{ ...HELLO, bytes: Uint8Array.from(HELLO.bytes) }, ...TURNS.slice(1)],
      () => 1_400,
    )
    hello.find(({ data }) => data.length > 0)!.data[5] = 1
    expect(bytesOf(read(fileOf(hello.slice(3))))).toEqual([SIZES])
  })

  it('a reset and the end of the file are told apart from an end', () => {
    const segments = segmentsOf(TURNS, random).slice(0, -2)
    expect(read(fileOf(segments)).connections[0]?.close).toBeUndefined()
    const reset: Segment = { ...segments.at(-1)!, flags: Flag.Reset, data: new Uint8Array(0) }
    expect(read(fileOf([...segments, reset])).connections[0]?.close?.reason).toBe('reset')
  })

  it('stops at the bound of records and says so', () => {
    const found = read(fileOf(segmentsOf(TURNS, random)), undefined, 4)
    expect(found.limit).toBe('records')
    expect(found.connections[0]?.records).toHaveLength(4)
  })

  it('Bad input: what waits for a gap is bounded', { timeout: 30_000 }, async () => {
    const table = new ConnectionTable()
    const push = (segment: Segment) => {
      const bytes = packetOf(segment, OPTIONS)
      table.push({ time: 0, linkType: 1, bytes, length: bytes.length })
    }
    for (const segment of segmentsOf([HELLO], random).slice(0, -2)) push(segment)
    const data = new Uint8Array(60_000)
    const before = process.memoryUsage().arrayBuffers
    for (let count = 1; count < 3_000; count += 1) {
      push({ direction: 'down', offset: count * 70_000, flags: Flag.Ack, data, acknowledged: 305 })
    }
    // What was thrown away counts as long as nobody has collected it, which goes on beside the program for a while.
    const held = () => {
      collectGarbage()
      return process.memoryUsage().arrayBuffers - before
    }
    await expect.poll(held, { timeout: 10_000 }).toBeLessThan(64 * 1024 * 1024)
    expect(table.end().connections[0]?.lost).toEqual(['down'])
  })

  it.for([
    ['nothing', Buffer.alloc(0), /^byte 0: it is neither pcap nor pcapng$/],
    ['text', Buffer.from('hello world, hello'), /^byte 0: it is neither pcap nor pcapng$/],
    ['another version', pcapFile([], FILE).fill(9, 4, 5), /^byte 4: it is pcap of version 9/],
    ['a header alone in part', pcapFile([], FILE).subarray(0, 20), /^byte 0: .*ends in the middle/],
    [
      'a cut packet',
      fileOf(segmentsOf(TURNS, random)).subarray(0, -3),
      /^byte \d{5}: the file ends/,
    ],
    [
      'a cut block',
      fileOf(segmentsOf(TURNS, random), OPTIONS, FILE, true).subarray(0, -3),
      /^byte \d{5}: /,
    ],
    [
      'a packet that is too long',
      pcapFile([Buffer.alloc(60)], FILE).fill(255, 32, 36),
      /^byte 24: a packet of 4294967295 bytes/,
    ],
    [
      'a time that is none',
      pcapFile([Buffer.alloc(60)], FILE).fill(255, 28, 32),
      /^byte 24: the time/,
    ],
    [
      'a link of another kind',
      pcapFile([Buffer.alloc(60)], FILE).fill(147, 20, 21),
      /^byte 40: a packet of link type 147/,
    ],
    [
      'a block without room',
      pcapngFile([], FILE).fill(8, 32, 33),
      /^byte 28: a block cannot have 8 bytes$/,
    ],
    [
      'ends that differ',
      pcapngFile([], FILE).fill(99, 24, 25),
      /^byte 0: the lengths at the two ends/,
    ],
  ] as const)('Bad input: %s is told of with its offset', ([, file, says]) => {
    expect(() => read(file)).toThrow(
      expect.objectContaining({
        code: 'ERR_CAPTURE_INVALID',
        message: expect.stringMatching(says) as unknown,
      }),
    )
  })

  it('Bad input: whatever is damaged, only that error comes', () => {
    const files = [false, true].map((ng) => fileOf(segmentsOf(TURNS, random), OPTIONS, FILE, ng))
    fc.assert(
      fc.property(
        fc.constantFrom(...files),
        fc.array(fc.tuple(fc.nat(20_000), fc.integer({ min: 0, max: 255 })), { maxLength: 30 }),
        (file, changes) => {
          const damaged = Buffer.from(file)
          for (const [at, value] of changes) damaged[at % damaged.length] = value
          try {
            read(damaged)
          } catch (error) {
            expect(error).toMatchObject({ code: 'ERR_CAPTURE_INVALID' })
          }
        },
      ),
      { numRuns: 300 },
    )
  })
})

describe('TLS of Node in packets', () => {
  const TLS12 = { maxVersion: 'TLSv1.2' } as const
  it.for([
    ['TLS 1.3', {}, 22, 0],
    ['AES-GCM', { ...TLS12, ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' }, 29, 0],
    ['ChaCha20', { ...TLS12, ciphers: 'ECDHE-ECDSA-CHACHA20-POLY1305' }, 21, 0],
    ['CBC', { ...TLS12, ciphers: 'ECDHE-ECDSA-AES128-SHA' }, 42, 15],
    ['CBC with SHA-256', { ...TLS12, ciphers: 'ECDHE-ECDSA-AES128-SHA256' }, 54, 15],
  ] as const)(
    '%s: sizes are those written, TLS is counted with its own overhead',
    async ([, options, overhead, blur]) => {
      const writes = { up: [100, 1, 2_000], down: [7, 9_000, 300] }
      const turns = await dialogue(options, writes)
      const draw = seededRandomInt(8)
      const { connections } = read(fileOf(disturbed(segmentsOf(turns, draw), draw)))
      const header = { format: 'anytls-capture', version: 1, from: 'pcap' } as const
      const { runs } = sourceFromCapture('x', { header, connections, cutOff: false })
      expect(runs).toHaveLength(1)
      expect(runs[0]?.overhead).toBe(overhead)
      for (const direction of ['up', 'down'] as const) {
        const sizes = runs[0]![direction].sizes
        expect(sizes).toHaveLength(3)
        for (const [index, size] of sizes.entries()) {
          expect(size - writes[direction][index]!).toBeGreaterThanOrEqual(0)
          expect(size - writes[direction][index]!).toBeLessThanOrEqual(blur)
        }
      }
    },
  )

  it.skipIf(tshark.isMissing)(
    'record lengths are those of tshark, in every kind of file (only where tshark is installed)',
    { timeout: 120_000 },
    async () => {
      const turns = await dialogue({}, { up: [100, 1, 2_000], down: [7, 40_000, 300] })
      for (const [seed, link] of LINKS.entries()) {
        const draw = seededRandomInt(seed)
        const packets: Uint8Array[] = []
        for (const [offset, v6] of [false, true].entries()) {
          const options = { ...OPTIONS, link, v6, clientPort: 50_000 + offset }
          const segments = disturbed(segmentsOf(turns, draw), draw)
          packets.push(...segments.map((segment) => packetOf(segment, options)))
        }
        const ng = seed % 2 === 1
        const file = (ng ? pcapngFile : pcapFile)(packets, { ...FILE, link, little: !ng, nano: ng })
        const path = join(folder, `${link}.pcap`)
        writeFileSync(path, file)
        const lengths = tsharkLengths(path)
        expect(lengths).toHaveLength(2)
        expect(bytesOf(read(file))).toEqual(lengths)
      }
    },
  )
})

/** What each side of a TLS connection sent, as it came by. */
async function dialogue(
  options: ConnectionOptions & TlsOptions,
  writes: { readonly up: readonly number[]; readonly down: readonly number[] },
): Promise<Turn[]> {
  const total = writes.up.reduce((sum, size) => sum + size, 0)
  const { port, certificate } = await startTlsServer(options, (socket) => {
    let got = 0
    socket.on('data', (data: Buffer) => {
      got += data.length
      if (got === total) void writeEach(socket, writes.down).then(() => socket.end())
    })
  })
  const turns: Turn[] = []
  const relay = createTcpServer((client) => {
    const server = connectTcp(port, '127.0.0.1')
    client.on('data', (bytes: Buffer) => turns.push({ direction: 'up', bytes })).pipe(server)
    server.on('data', (bytes: Buffer) => turns.push({ direction: 'down', bytes })).pipe(client)
  }).listen(0, '127.0.0.1')
  await once(relay, 'listening')
  const client = connect({
    ...{ host: '127.0.0.1', port: (relay.address() as AddressInfo).port },
    ...{ ca: certificate.cert, servername: 'localhost' },
  })
  const closed = once(client.resume(), 'close')
  await once(client, 'secureConnect')
  await writeEach(client, writes.up)
  await closed
  relay.close()
  return turns
}

async function writeEach(
  socket: { write(bytes: Uint8Array, done: () => void): unknown },
  sizes: readonly number[],
): Promise<void> {
  for (const size of sizes)
    await new Promise<void>((done) => socket.write(new Uint8Array(size), done))
}

/** Lengths of records with their heads, by stream and direction. */
function tsharkLengths(path: string): number[][][] {
  const fields = ['tcp.stream', 'tcp.srcport', 'tls.record.length'].flatMap((field) => [
    '-e',
    field,
  ])
  const reassemble = ['-o', 'tcp.reassemble_out_of_order:TRUE']
  const flags = ['-r', path, ...reassemble, '-Y', 'tls.record', '-T', 'fields', ...fields]
  const text = execFileSync(tshark.path, flags, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const streams: number[][][] = []
  for (const line of text.trim().split('\n')) {
    const [stream = '', port, lengths = ''] = line.split('\t')
    const own = (streams[Number(stream)] ??= [[], []])
    own[port === '443' ? 1 : 0]!.push(...lengths.split(',').map((length) => Number(length) + 5))
  }
  return streams
}
