// `anytls capture` as a user has it: what it prints, writes and how it ends.

import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { parseCapture } from '../../src/harness/capture/capture-parser.ts'
import type { ParsedCapture } from '../../src/harness/capture/capture-parser.ts'
import { endingFor } from '../../src/cli/failure.ts'
import { createProgram } from '../../src/cli/program.ts'
import type { Commands } from '../../src/cli/program.ts'
import { packetOf, pcapFile, record, segmentsOf } from '../harness/pcap/packets.ts'
import type { Turn } from '../harness/pcap/packets.ts'
import { closedPort } from '../proxy/support.ts'
import { seededRandomInt } from '../support/seeded-random.ts'
import { runProgram, stop } from './run-program.ts'
import type { Program } from './run-program.ts'

const folder = mkdtempSync(join(tmpdir(), 'capture-command-'))
const running: Program[] = []
let echo: Server
let to: string

beforeAll(async () => {
  echo = createServer((socket) => socket.on('error', () => {}).pipe(socket)).listen(0, '127.0.0.1')
  await once(echo, 'listening')
  to = `127.0.0.1:${(echo.address() as AddressInfo).port}`
})
afterEach(async () => {
  await Promise.all(running.splice(0).map(stop))
})
afterAll(() => {
  echo.close()
  rmSync(folder, { recursive: true })
})

const RECORD = Buffer.from([23, 3, 3, 0, 2, 1, 1])

function run(...args: string[]): Program {
  const program = runProgram(['capture', ...args])
  running.push(program)
  return program
}

/** A capture of `count` connections, each with a record each way. */
async function captureTo(out: string, count: number, ...flags: string[]): Promise<Program> {
  const program = run('--listen', '127.0.0.1:0', '--to', to, '--out', out, ...flags)
  const [, port] = await program.said(/listening on 127\.0\.0\.1:(\d+)/)
  for (let made = 0; made < count; made += 1) {
    const socket = connect(Number(port), '127.0.0.1').on('error', () => {})
    socket.write(RECORD)
    await once(socket, 'data')
    const closed = once(socket, 'close')
    socket.end()
    await closed
  }
  return program
}

describe('anytls capture --from', { timeout: 60_000 }, () => {
  const random = seededRandomInt(3)
  const turns: Turn[] = [
    { direction: 'up', bytes: record(22, 300) },
    { direction: 'down', bytes: Buffer.concat([record(22, 90), record(23, 2_000)]) },
    { direction: 'up', bytes: record(23, 50) },
  ]
  const options = {
    link: 'ethernet',
    v6: true,
    clientPort: 40_000,
    initial: { up: 1, down: 2 },
  } as const
  const packets = segmentsOf(turns, random).map((segment) => packetOf(segment, options))
  const pcap = join(folder, 'made.pcap')
  writeFileSync(pcap, pcapFile(packets, { link: 'ethernet', little: true, nano: false }))

  it('main job: a capture of a pcap, which keeps no address, and traces of it and back', async () => {
    const out = join(folder, 'from.jsonl')
    const program = run('--from', pcap, '--out', out, '--to-trace', join(folder, 'traces'))
    expect(await program.ended, program.stderr()).toEqual({ code: 0, signal: null })
    expect(program.stderr()).toBe('anytls: 1 connection, 4 records\n')
    const text = readFileSync(out, 'utf8')
    expect(text).not.toMatch(/2001|192|40000|443/)
    const capture = parseCapture(text)
    expect(capture).toMatchObject({ header: { from: 'pcap' }, cutOff: false })
    const trace = join(folder, 'traces', 'connection-1.trace')
    expect(readFileSync(trace, 'utf8')).toMatch(/^0,s,305\n\d+,r,95\n\d+,r,2005\n\d+,s,55\n$/)
    const back = run('--from', trace)
    expect(await back.ended, back.stderr()).toEqual({ code: 0, signal: null })
    const sizes = ({ connections }: ParsedCapture) =>
      connections.map(({ records }) =>
        records.map(({ direction, bytes, time }) => [direction, bytes, time - records[0]!.time]),
      )
    expect(sizes(parseCapture(back.stdout()))).toEqual(sizes(capture))
    const again = run('--from', out, '--to-trace', join(folder, 'again'))
    expect(await again.ended).toEqual({ code: 0, signal: null })
    expect(readFileSync(join(folder, 'again', 'connection-1.trace'), 'utf8')).toBe(
      readFileSync(trace, 'utf8'),
    )
  })

  it.concurrent.for([
    [
      'a cut file',
      'cut.pcap',
      (): string | Uint8Array => readFileSync(pcap).subarray(0, -5),
      /'.*cut.pcap': byte \d+: the file ends in the middle of a packet$/m,
    ],
    [
      'something else',
      'text.pcap',
      (): string | Uint8Array => 'hello',
      /'.*text.pcap': byte 0: it is neither pcap, pcapng, a trace nor a capture$/m,
    ],
    [
      'a bad line of a trace',
      'bad.trace',
      (): string | Uint8Array => '0,s,60\n1,x,70\n',
      /'.*bad.trace': line 2: it is not time/,
    ],
  ] as const)(
    'Bad input: %s: one line, exit code 2, nothing written',
    async ([, name, content, says]) => {
      const [file, out] = [join(folder, name), join(folder, `${name}.jsonl`)]
      writeFileSync(file, content())
      const program = runProgram(['capture', '--from', file, '--out', out])
      expect(await program.ended).toEqual({ code: 2, signal: null })
      expect(program.stderr()).toMatch(/^anytls: [^\n]*\n$/)
      expect(program.stderr()).toMatch(says)
      expect(existsSync(out)).toBe(false)
    },
  )

  it('Bad input: an output in the place of the input, and flags that contradict', async () => {
    const own = run('--from', pcap, '--out', pcap)
    expect(await own.ended).toEqual({ code: 2, signal: null })
    expect(own.stderr()).toMatch(/cannot write capture '.*made.pcap': it is read here, too/)
    const both = run('--from', pcap, '--to', 'a:1')
    expect(await both.ended).toEqual({ code: 2, signal: null })
  })
})

describe('anytls capture', { timeout: 60_000 }, () => {
  it.for(['SIGINT', 'SIGTERM'] as const)(
    'Contract: says where it listens, and %s ends it with 0 and a whole file',
    async (signal) => {
      const out = join(folder, `${signal}.jsonl`)
      const program = await captureTo(out, 3)
      program.child.kill(signal)
      expect(await program.ended).toEqual({ code: 0, signal: null })
      const capture = parseCapture(readFileSync(out, 'utf8'))
      expect(capture).toMatchObject({ cutOff: false, header: { to } })
      expect(capture.connections).toHaveLength(3)
      for (const { records, close } of capture.connections) {
        expect(records.map(({ direction, bytes }) => [direction, bytes])).toEqual([
          ['up', 7],
          ['down', 7],
        ])
        expect(close).toMatchObject({ reason: 'end', up: 7, down: 7 })
      }
      expect(program.stdout()).toBe('')
    },
  )

  it('a connection that is still open at the end is in the file, cut', async () => {
    const out = join(folder, 'open.jsonl')
    const program = await captureTo(out, 0)
    const [, port] = await program.said(/listening on 127\.0\.0\.1:(\d+)/)
    const socket = connect(Number(port), '127.0.0.1').on('error', () => {})
    socket.write(RECORD)
    await once(socket, 'data')
    program.child.kill('SIGTERM')
    expect(await program.ended).toEqual({ code: 0, signal: null })
    const { connections } = parseCapture(readFileSync(out, 'utf8'))
    expect(connections).toMatchObject([{ close: { reason: 'stopped', up: 7 } }])
  })

  it('a program that is killed leaves a capture that can be read', async () => {
    const out = join(folder, 'killed.jsonl')
    const program = await captureTo(out, 2)
    while (!readFileSync(out, 'utf8').includes('"connection":2,"direction":"down"')) {
      await setTimeout(10)
    }
    program.child.kill('SIGKILL')
    await program.ended
    expect(parseCapture(readFileSync(out, 'utf8')).connections).toHaveLength(2)
  })

  it('--max-records: the file says where it stopped, and so does the log', async () => {
    const out = join(folder, 'limit.jsonl')
    const program = await captureTo(out, 3, '--max-records', '3')
    program.child.kill('SIGTERM')
    expect(await program.ended).toEqual({ code: 0, signal: null })
    const { connections, limit } = parseCapture(readFileSync(out, 'utf8'))
    expect(limit).toBe('records')
    expect(program.stderr()).toMatch(/too many records: relaying on unrecorded/)
    expect(connections.flatMap(({ records }) => records)).toHaveLength(3)
  })

  it('Bad input: a port in use: one line, exit code 1, and an older capture stays as it is', async () => {
    const out = join(folder, 'older.jsonl')
    writeFileSync(out, 'precious')
    const program = run('--listen', to, '--to', to, '--out', out)
    expect(await program.ended).toEqual({ code: 1, signal: null })
    expect(program.stderr()).toMatch(
      /^anytls: cannot listen on [^\n]*: the port is in use[^\n]*\n$/,
    )
    expect(readFileSync(out, 'utf8')).toBe('precious')
  })

  const listen = ['--listen', '127.0.0.1:0']
  it.concurrent.for([
    [
      'a folder that is not there',
      [...listen, '--to', 'a:1', '--out', join(folder, 'no', 'x')],
      /'.*x': no such file or folder/,
    ],
    [
      'a folder for a file',
      [...listen, '--to', 'a:1', '--out', folder],
      /cannot write capture '.*': it is a folder/,
    ],
  ] as const)('Bad input: %s: one line, exit code 2', async ([, args, says]) => {
    const program = runProgram(['capture', ...args])
    expect(await program.ended).toEqual({ code: 2, signal: null })
    expect(program.stderr()).toMatch(/^anytls: [^\n]*\n$/)
    expect(program.stderr()).toMatch(says)
  })

  it('Bad input: itself as the target: one line, exit code 2, and an older capture stays', async () => {
    const out = join(folder, 'itself.jsonl')
    writeFileSync(out, 'precious')
    for (const [address, target] of [
      ['127.0.0.1', '127.0.0.1'],
      ['127.0.0.1', 'localhost'],
      ['0.0.0.0', '127.0.0.1'],
    ]) {
      const port = await closedPort()
      const program = run(
        '--listen',
        `${address}:${port}`,
        '--to',
        `${target}:${port}`,
        '--out',
        out,
      )
      expect(await program.ended).toEqual({ code: 2, signal: null })
      expect(program.stderr()).toBe(
        `anytls: --to ${target}:${port} is where it listens itself: it would relay to itself\n`,
      )
    }
    expect(readFileSync(out, 'utf8')).toBe('precious')
  })

  it.for([
    ['no file', [...listen, '--to', 'a:1'], /'--out <file>' not specified/],
    ['no target', [...listen, '--out', 'x'], /'--to <host:port>' not specified/],
    ['nowhere to listen', ['--to', 'a:1', '--out', 'x'], /--listen <host:port>' not specified/],
    [
      'a capture on standard output',
      [...listen, '--to', 'a:1', '--out', '-'],
      /--out.*standard output/,
    ],
    ['port 0 as a target', [...listen, '--to', 'a:0', '--out', 'x'], /--to.*port 0/],
    [
      'no records at all',
      [...listen, '--to', 'a:1', '--out', 'x', '--max-records', '0'],
      /from 1 to 1000000/,
    ],
    [
      'too many records',
      [...listen, '--to', 'a:1', '--out', 'x', '--max-records', '1000001'],
      /from 1 to 1000000/,
    ],
  ] as const)(
    'Bad input: %s: one line, exit code 2, before anything is done',
    async ([, args, says]) => {
      const unexpected = () => Promise.reject(new Error('the command was called'))
      const program = createProgram({ ...({} as Commands), capture: unexpected })
      const { exitCode, line } = await program
        .parseAsync(['capture', ...args], { from: 'user' })
        .then(unexpected, endingFor)
      expect(line).toMatch(/^anytls: \P{Cc}*$/u)
      expect(line).toMatch(says)
      expect(exitCode).toBe(2)
    },
  )

  it.skipIf(!existsSync('/dev/full'))(
    'Bad input: a full disk ends it with one line, exit code 2 (only where /dev/full is)',
    async () => {
      const program = run('--listen', '127.0.0.1:0', '--to', to, '--out', '/dev/full')
      expect(await program.ended).toEqual({ code: 2, signal: null })
      expect(program.stderr()).toMatch(
        /^(listening on [^\n]*\n)?anytls: cannot write capture '\/dev\/full': no space left[^\n]*\n$/,
      )
    },
  )
})
