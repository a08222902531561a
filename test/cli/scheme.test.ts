// `anytls scheme`, run as a program: what it prints where, and how it ends.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Command } from 'commander'
import { afterAll, describe, expect, it } from 'vitest'
import { endingFor } from '../../src/cli/failure.ts'
import type { Ending } from '../../src/cli/failure.ts'
import { schemeCommands } from '../../src/cli/scheme-command.ts'
import { addScheme } from '../../src/cli/scheme-options.ts'
import {
  checkScheme,
  DEFAULT_SCHEME,
  DEFAULT_SCHEME_TEXT,
  parseScheme,
  parseSimulation,
  simulate,
  summarizeScheme,
  WIRES,
  WORKLOADS,
} from '../../src/shaping.ts'
import { MAIN, runProgram } from './run-program.ts'

const folder = mkdtempSync(join(tmpdir(), 'scheme-'))
afterAll(() => rmSync(folder, { recursive: true }))

const GOOD = file('good.txt', `${DEFAULT_SCHEME_TEXT}\n`)
const ODD = file('odd.txt', '2=10-20,c,c,30-40\nstop=8\n1=c,2-20\n0=5-6,7-8\nrestart=2\n')
const BAD = file('bad.txt', 'stop=8\r\n1=400-100, 5-5\n9=1-1\n')

interface Result {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

describe('anytls scheme check', () => {
  it('tells errors and warnings, one a line, and ends with 2', async () => {
    const { code, stdout, stderr } = await run('check', BAD)
    expect(stdout.split('\n')).toEqual([
      `${BAD}:1:6: warning: index 0 has no entry: AUTH goes without padding`,
      `${BAD}:1:6: warning: no entry for index 2 to 7: such a Deliver passes as it is`,
      `${BAD}:1:7: error: the line ends in CRLF; it must end in LF alone`,
      `${BAD}:2:7: error: the range is reversed`,
      `${BAD}:2:11: error: a space is not allowed`,
      `${BAD}:3:1: warning: the index is not below stop: the entry never applies`,
      '',
    ])
    expect(stderr).toBe(`anytls: scheme '${BAD}' has 3 errors\n`)
    expect(code).toBe(2)
  })

  it('ends with 0 when there are only warnings, and sums the scheme up', async () => {
    const { code, stdout, stderr } = await run('check', ODD)
    expect(stdout).toBe(`\
${ODD}:1:11: warning: "c" directly behind "c" has no effect
${ODD}:2:6: warning: no entry for index 3 to 7: such a Deliver passes as it is
${ODD}:3:3: warning: "c" comes first, where there is always data left: it has no effect
${ODD}:3:5: warning: no padding frame of either wire fits below 3 bytes
${ODD}:4:7: warning: only the first range of index 0 counts
stop 8, counted again from 2 with each stream, digest ${parseScheme(ODD_TEXT).digest}
Deliver           bytes: least  mean  most  Writes: least  mean  most
0 (AUTH padding)             5     5     5              1     1     1
1                            2  10.5    19              1     1     1
2                           10  31.8    58              1   1.5     2
in all                      17  47.3    82              3   3.5     4
each stream                 10  31.8    58
`)
    expect([code, stderr]).toEqual([0, ''])
  })

  it('--json says the same to machines', async () => {
    const [good, bad] = await Promise.all([
      run('check', GOOD, '--json'),
      run('check', BAD, '--json'),
    ])
    const { stop, digest } = DEFAULT_SCHEME
    const summary = summarizeScheme(DEFAULT_SCHEME)
    expect(JSON.parse(good.stdout)).toEqual(
      JSON.parse(JSON.stringify({ file: GOOD, problems: [], stop, digest, summary })),
    )
    expect(good.code).toBe(0)
    const { problems } = checkScheme('stop=8\r\n1=400-100, 5-5\n9=1-1\n')
    expect(JSON.parse(bad.stdout)).toEqual({ file: BAD, problems })
    expect(bad.code).toBe(2)
  })

  it('reads standard input for -', () => {
    const { code, stdout, stderr } = runWith('stop=2\n1=9-3', 'check', '-')
    expect(stdout).toContain('-:2:5: error: the range is reversed\n')
    expect(stderr).toBe("anytls: scheme '-' has one error\n")
    expect(code).toBe(2)
    expect(runWith(DEFAULT_SCHEME_TEXT, 'check', '-').code).toBe(0)
  })

  it('a scheme of 10 MiB is one clear line, from a file as from standard input', async () => {
    const text = '1=5-5,,\n'.repeat((10 * 1024 * 1024) / 8)
    const huge = file('huge.txt', text)
    expect(await run('check', huge)).toEqual({
      code: 2,
      stdout: '',
      stderr: `anytls: scheme '${huge}' is larger than 1048576 bytes\n`,
    })
    expect(runWith(text, 'check', '-')).toMatchObject({
      code: 2,
      stderr: 'anytls: standard input is larger than 1048576 bytes\n',
    })
    const large = file('large.txt', text.slice(0, 1024 * 1024))
    const { stdout, code } = await run('check', large)
    expect(stdout).toBe(`${large}:8192:7: error: the scheme is longer than 65535 bytes\n`)
    expect(code).toBe(2)
  })

  it('a file that is not there, or no text, is one clear line', async () => {
    const binary = file('binary.txt', Buffer.from([0x73, 0xff, 0xfe]))
    const none = join(folder, 'none\u001b[2J')
    const [missing, notText] = await Promise.all([run('check', none), run('check', binary)])
    expect(missing.stderr).toMatch(/^anytls: cannot read scheme '.*none\\u001b\[2J': no such .*\n$/)
    expect(notText.stderr).toMatch(/^anytls: scheme '.*binary\.txt' is not UTF-8 text[^\n]*\n$/)
    expect([missing.code, notText.code]).toEqual([2, 2])
  })
})

describe('anytls scheme show', () => {
  it('D24: prints the built-in scheme, and its digest beside it', async () => {
    expect(await run('show')).toEqual({
      code: 0,
      stdout: `${DEFAULT_SCHEME_TEXT}\n`,
      stderr: 'digest 75cff2ad89aadf5e257059ee571ebe11\n',
    })
  })

  it('prints a given one in canonical order, in text and in JSON', async () => {
    const [shown, json] = await Promise.all([run('show', ODD), run('show', ODD, '--json')])
    const text = 'stop=8\nrestart=2\n0=5-6,7-8\n1=c,2-20\n2=10-20,c,c,30-40'
    const { digest } = parseScheme(text)
    expect(shown).toEqual({
      code: 0,
      stdout: `${text}\n`,
      stderr: `digest ${digest}; in the order of the file, ${parseScheme(ODD_TEXT).digest}\n`,
    })
    expect(JSON.parse(json.stdout)).toMatchObject({ stop: 8, restart: 2, text, digest })
  })

  it('a scheme with errors is one line that names the first', async () => {
    const { code, stdout, stderr } = await run('show', BAD)
    expect([code, stdout]).toEqual([2, ''])
    expect(stderr).toBe(
      `anytls: ${BAD}:1:7: error: the line ends in CRLF; it must end in LF alone (and 2 more; see anytls scheme check)\n`,
    )
  })
})

describe('anytls scheme simulate', () => {
  it('prints each Deliver with its Writes, and what it costs', async () => {
    const { code, stdout } = await run('simulate', GOOD, '--runs', '3', '--seed', '9')
    expect(code).toBe(0)
    const [head, , title, columns, deliver0, deliver1] = stdout.split('\n')
    expect(head).toBe(
      `workload handshake, wire v1, scheme ${DEFAULT_SCHEME.digest}, seed 9, runs 3, flush 0.03 ms`,
    )
    expect(title).toBe('first run, client to server')
    expect(columns?.split(/\s+/)).toEqual([
      'Deliver',
      'ms',
      'data',
      'frames',
      'padding',
      '%',
      '+Writes',
      '+ms',
      'Writes',
    ])
    const base = { scheme: DEFAULT_SCHEME, wire: WIRES.v1, workload: WORKLOADS.handshake }
    const { runs, summary } = simulate({ ...base, seed: 9, runs: 3 })
    const up = runs[0]!.records.filter(({ direction }) => direction === 'up')
    expect(deliver0?.split(/\s+/)).toEqual(['0', '0', '0', '155', '30', '19.4', '0', '0', '185'])
    expect(deliver1?.split(/\s+/).at(-1)).toBe(String(up[1]?.bytes))
    const { least, mean, most } = summary.up.padding
    const line = stdout.split('\n').find((text) => text.startsWith('padding, bytes'))
    const numbers = [least, mean, most, 0, 0, 0].map((number) => String(Number(number.toFixed(1))))
    expect(line?.split(/\s+/).slice(2)).toEqual(numbers)
  })

  it('--json is the simulation that anytls report reads', async () => {
    const args = ['--wire', 'legacy', '--workload', 'page', '--runs', '2', '--seed', '4']
    const more = ['--flush-ms', '0.5', '--shape-downlink', '--pad-control', '--json']
    const { code, stdout } = await run('simulate', ODD, ...args, ...more)
    expect(code).toBe(0)
    const scheme = parseScheme(ODD_TEXT)
    const { page } = WORKLOADS
    const base = { scheme, downlinkScheme: scheme, wire: WIRES.legacy, workload: page }
    const options = { seed: 4, runs: 2, flushTime: 0.5, padControl: true }
    expect(parseSimulation(stdout)).toEqual(simulate({ ...base, ...options }))
  })

  it('N46: --pad-control and --no-pad-control override what the wire does', async () => {
    const padControl = async (...args: string[]) =>
      parseSimulation((await run('simulate', '--json', '--runs', '1', ...args)).stdout).padControl
    expect(
      await Promise.all([
        padControl(),
        padControl('--no-pad-control'),
        padControl('--wire', 'legacy'),
        padControl('--wire', 'legacy', '--pad-control'),
      ]),
    ).toEqual([true, false, false, true])
  })

  it('--csv is a line for each record', async () => {
    const { stdout } = await run('simulate', '--csv', '--runs', '2', '--shape-downlink', ODD)
    const base = { scheme: DEFAULT_SCHEME, wire: WIRES.v1, workload: WORKLOADS.handshake }
    const { runs } = simulate({ ...base, downlinkScheme: parseScheme(ODD_TEXT), runs: 2 })
    const lines = runs.flatMap(({ records }, run) =>
      records.map((record) =>
        [
          ...[run + 1, record.index, record.time, record.direction, record.bytes],
          ...[record.deliver, record.write, record.entry ?? '', record.padding],
        ].join(),
      ),
    )
    expect(stdout.trimEnd().split('\n')).toEqual([
      'run,index,time,direction,bytes,deliver,write,entry,padding',
      ...lines,
    ])
  })

  it('much output goes through a pipe whole', () => {
    const { stdout, code } = runWith('', 'simulate', '--json', '--workload', 'download')
    expect(code).toBe(0)
    expect(stdout.length).toBeGreaterThan(500_000)
    expect(parseSimulation(stdout).runs).toHaveLength(20)
  })

  it('a reader that goes away early, as head does, is no failure', async () => {
    const program = runProgram(['scheme', 'simulate', '--json', '--workload', 'download'])
    program.child.stdout.destroy()
    expect(await program.ended).toEqual({ code: 0, signal: null })
    expect(program.stderr()).toBe('')
  })

  it('a workload of your own is read from a file', async () => {
    const events = [{ time: 0, direction: 'up', bytes: 700, open: true }]
    const own = file('own.json', JSON.stringify({ name: 'mine', events }))
    const { code, stdout } = await run('simulate', '--workload', own)
    expect(code).toBe(0)
    expect(stdout).toMatch(/^workload mine, .*\n\n.*\n.*\n0 .* 185\n1 .*\n/)
  })

  const broken: [string, unknown, RegExp][] = [
    ['a negative size', [{ time: 0, direction: 'up', bytes: -4, open: true }], /event 1: "bytes"/],
    ['an absurd total', [{ time: 0, direction: 'up', bytes: 2 ** 41, open: true }], /"bytes" must/],
    ['no events', [], /there are no events/],
  ]
  it.each(broken)('a workload with %s is one clear line', async (_, events, message) => {
    const own = file('broken.json', JSON.stringify({ name: 'broken', events }))
    const { exitCode, line } = await ending('simulate', '--workload', own)
    expect(exitCode).toBe(2)
    expect(line).toMatch(/^anytls: '.*broken\.json': the workload is not valid: .*$/)
    expect(line).toMatch(message)
  })

  const options: [string, string[], RegExp][] = [
    ['an unknown workload', ['--workload', 'nap'], /'nap': no such .*: handshake, page, download,/],
    ['an unknown wire', ['--wire', 'v3'], /--wire.*v1, legacy/],
    ['no runs', ['--runs', '0'], /--runs.*1 to 10000/],
    ['a bad seed', ['--seed', '-1'], /--seed.*whole number/],
    ['a bad flush time', ['--flush-ms', 'fast'], /--flush-ms.*0 to 10000/],
    ['JSON and CSV', ['--json', '--csv'], /'--json' cannot be used with option '--csv'/],
    ['too many records', ['--workload', 'download', '--runs', '9000'], /more than 250000 records/],
    ['an unknown command', [], /unknown command 'simulated'/],
  ]
  it.each(options)('%s is one clear line', async (_, args, message) => {
    const command = args.length === 0 ? ['simulated'] : ['simulate', ...args]
    const { exitCode, line } = await ending(...command)
    expect(exitCode).toBe(2)
    expect(line).toMatch(message)
    expect(line).toMatch(/^anytls: .*$/)
  })

  it('--help tells how a workload is written', async () => {
    const { code, stdout } = await run('simulate', '--help')
    expect(code).toBe(0)
    const example = /^ {2}\{[^]*?^ {2}\}$/m.exec(stdout)?.[0] ?? ''
    const own = file('help.json', example)
    expect((await run('simulate', '--workload', own)).code).toBe(0)
  })
})

const ODD_TEXT = '2=10-20,c,c,30-40\nstop=8\n1=c,2-20\n0=5-6,7-8\nrestart=2'

/** How it ends when something is wrong before anything is printed, without a process of its own. */
async function ending(...args: string[]): Promise<Ending> {
  const program = new Command('anytls').configureOutput({ writeErr: () => {} }).exitOverride()
  program.showSuggestionAfterError(false)
  addScheme(program, () => Promise.resolve(schemeCommands))
  try {
    await program.parseAsync(['scheme', ...args], { from: 'user' })
  } catch (error) {
    return endingFor(error)
  }
  throw new Error('nothing was wrong')
}

async function run(...args: string[]): Promise<Result> {
  const program = runProgram(['scheme', ...args])
  const { code } = await program.ended
  return { code, stdout: program.stdout(), stderr: program.stderr() }
}

/** With something on standard input. */
function runWith(input: string, ...args: string[]): Result {
  const command = [MAIN, 'scheme', ...args]
  const { status, stdout, stderr } = spawnSync(process.execPath, command, {
    input,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  })
  return { code: status, stdout, stderr }
}

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}
