// `anytls report` as a user has it: files in, one page out; what bad ones get.

import {
  existsSync,
  linkSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { encodeCaptureLine, MAX_CAPTURE_RECORDS } from '../../src/harness/capture/capture-event.ts'
import type { CaptureEvent } from '../../src/harness/capture/capture-event.ts'
import { endingFor } from '../../src/cli/failure.ts'
import type { Ending } from '../../src/cli/failure.ts'
import { createProgram } from '../../src/cli/program.ts'
import type { Commands } from '../../src/cli/program.ts'
import { runReport } from '../../src/cli/report-command.ts'
import { runProgram } from './run-program.ts'

const folder = mkdtempSync(join(tmpdir(), 'report-command-'))
afterAll(() => rmSync(folder, { recursive: true }))

const HEADER = encodeCaptureLine({
  ...{
    format: 'anytls-capture',
    version: 1,
    to: 'example.com:443',
    started: '2026-01-01T00:00:00Z',
  },
})
const record = (time: number, bytes: number): CaptureEvent => ({
  ...{ event: 'record', connection: 1, direction: 'up', time, type: 23, bytes },
})
const CAPTURE =
  HEADER +
  [
    { event: 'open', connection: 1, time: 0 } as const,
    record(1, 80),
    record(2, 322),
    record(3, 472),
  ]
    .map((event) => encodeCaptureLine(event))
    .join('')

function fileWith(name: string, text: string): string {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}

const SIMULATION_HEAD = '{"format":"anytls-simulation",'
/** A scheme with two names. */
const LINKED = fileWith('linked', 'stop=2\n1=300-400\n')
const LINK = join(folder, 'link')
linkSync(LINKED, LINK)

/** The program. */
async function report(...args: string[]) {
  const program = runProgram(['report', ...args])
  const { code } = await program.ended
  return { code, stderr: program.stderr(), stdout: program.stdout() }
}

/** The command in this process, which is faster: how the program would end. */
async function failure(args: readonly string[]): Promise<Ending> {
  const program = createProgram({ ...({} as Commands), report: runReport })
  const unexpected = () => Promise.reject(new Error('the page was made'))
  return program.parseAsync(['report', ...args], { from: 'user' }).then(unexpected, endingFor)
}

describe('anytls report', { timeout: 60_000 }, () => {
  it('main job: makes a page of captures and simulations, quietly, the same each time', async () => {
    const capture = fileWith('capture.jsonl', CAPTURE)
    const scheme = fileWith('scheme.txt', 'stop=2\n1=300-400\n')
    const simulate = runProgram(['scheme', 'simulate', '--json', '--runs', '3', scheme])
    expect(await simulate.ended).toEqual({ code: 0, signal: null })
    const simulation = fileWith('simulation.json', simulate.stdout())
    const pages = []
    for (const name of ['1.html', '2.html']) {
      const out = join(folder, name)
      const args = ['--scheme', scheme, '--skip-up', '1', '--out', out]
      expect(await report(capture, simulation, ...args)).toEqual({
        code: 0,
        stderr: '',
        stdout: '',
      })
      pages.push(readFileSync(out, 'utf8'))
    }
    expect(pages[0]).toBe(pages[1])
    expect(pages[0]).toContain('capture.jsonl')
    expect(pages[0]).toContain('Workload: handshake')
    // Finished is left out; of the two records that are left, the second is 450 bytes: not in the band.
    expect(pages[0]).toContain('0 of 1, 0 %')
  })

  it('a capture that breaks off in its last line is read up to there', async () => {
    const out = join(folder, 'cut.html')
    const { code } = await report(fileWith('cut.jsonl', CAPTURE.slice(0, -9)), '--out', out)
    expect(code).toBe(0)
    expect(readFileSync(out, 'utf8')).toContain('The file breaks off: its end is missing.')
  })

  const out = ['--out', join(folder, 'bad.html')]
  it.for([
    ['no file', [...out], /missing required argument 'files'/],
    ['no page', [fileWith('a', CAPTURE)], /'--out <file>' not specified/],
    [
      'too many files',
      [...new Array<string>(7).fill(fileWith('b', CAPTURE)), ...out],
      /at most 6 files/,
    ],
    ['a file that is not there', [join(folder, 'none'), ...out], /'.*none': no such file/],
    ['a folder', [folder, ...out], /cannot read '.*': it is a folder/],
    ['an empty file', [fileWith('empty', ''), ...out], /'.*empty': line 1: it begins neither as/],
    [
      'another file',
      [fileWith('text', 'hello\n'.repeat(99)), ...out],
      /line 1: it begins neither as/,
    ],
    [
      'a large file of something else',
      [fileWith('big', 'x'.repeat(5e6)), ...out],
      /begins neither as/,
    ],
    [
      'another version',
      [fileWith('v2', HEADER.replace('1', '2')), ...out],
      /'.*v2': line 1: .*"version" must be 1$/m,
    ],
    [
      'a damaged capture',
      [fileWith('damaged', CAPTURE.replace('"bytes":322', '"bytes":-1')), ...out],
      /'.*damaged': line 4: .*"bytes" must be a whole number/,
    ],
    [
      'a simulation that is none',
      [fileWith('sim', '{"format":"anytls-simulation","version":9}'), ...out],
      /'.*sim': the simulation is not valid/,
    ],
    [
      'a simulation that breaks off',
      [fileWith('simcut', '{"format":"anytls-simulation","ver'), ...out],
      /'.*simcut': the simulation is not valid/,
    ],
    [
      'a scheme with a bad line',
      [fileWith('c', CAPTURE), '--scheme', fileWith('bad', 'stop=2\n1=9-x\n'), ...out],
      /padding scheme '.*bad': line 2, column 5: [^(]*$/,
    ],
    [
      'a page in the place of a capture',
      [fileWith('own', CAPTURE), '--out', `${folder}/../${basename(folder)}/own`],
      /cannot write report '.*own': it is read here, too$/,
    ],
    [
      'a page in the place of a scheme, by another name',
      [fileWith('f', CAPTURE), '--scheme', LINKED, '--out', LINK],
      /cannot write report '.*link': it is read here, too$/,
    ],
    ['a page on standard output', [fileWith('g', CAPTURE), '--out', '-'], /--out.*standard output/],
    ['a negative number', [fileWith('d', CAPTURE), '--skip-up', '-1', ...out], /--skip-up/],
    [
      'a page that cannot be written',
      [fileWith('e', CAPTURE), '--out', join(folder, 'none', 'x.html')],
      /cannot write report '.*x\.html': no such file or folder/,
    ],
  ] as const)('Bad input: %s: one line, exit code 2', async ([, args, says]) => {
    const { exitCode, line } = await failure(args)
    expect(line).toMatch(/^anytls: \P{Cc}*$/u)
    expect(line).toMatch(says)
    expect(exitCode).toBe(2)
  })

  it('Bad input: what is read stays as it is when it is named as the page, too', async () => {
    const file = fileWith('kept', CAPTURE)
    await failure([file, '--out', file])
    expect(readFileSync(file, 'utf8')).toBe(CAPTURE)
    expect(readFileSync(LINKED, 'utf8')).toBe('stop=2\n1=300-400\n')
  })

  it(
    'Bad input: a large damaged simulation is refused without delay',
    { timeout: 10_000 },
    async () => {
      const large = fileWith('large.json', SIMULATION_HEAD + ' '.repeat(60 * 1024 * 1024))
      expect((await failure([large, ...out])).line).toMatch(
        /large\.json': the simulation is not valid/,
      )
      rmSync(large)
    },
  )

  it('Bad input: a simulation above 64 MiB is refused before it is all read', async () => {
    const large = fileWith('endless.json', SIMULATION_HEAD)
    truncateSync(large, 2 ** 36)
    const { exitCode, line } = await failure([large, ...out])
    expect(line).toMatch(/endless\.json': it is larger than 67108864 bytes$/)
    expect(exitCode).toBe(2)
    rmSync(large)
  })

  it.for([
    ['no capture has any', [''], 'none of the files has records to show'],
    ['one has', ['', CAPTURE.slice(HEADER.length)], undefined],
  ] as const)('files without records: one line says so when %s', async ([, bodies, says]) => {
    const files = bodies.map((body, index) => fileWith(`few${index}`, HEADER + body))
    const page = join(folder, 'few.html')
    const { code, stderr } = await report(...files, '--skip-up', '0', '--out', page)
    expect({ code, stderr }).toEqual({
      code: 0,
      stderr: says === undefined ? '' : `anytls: ${says}\n`,
    })
    expect(existsSync(page)).toBe(true)
  })

  it('Bad input: it is one line of the program, and no page', async () => {
    const [file, page] = [fileWith('text', 'hello\n'), join(folder, 'none.html')]
    const { code, stderr, stdout } = await report(file, '--out', page)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(/^anytls: '[^\n]*text': line 1: [^\n]*\n$/)
    expect(existsSync(page)).toBe(false)
  })

  it('Bad input: a capture with more records than there may be is refused before it is all read', async () => {
    const lines = encodeCaptureLine(record(9, 100)).repeat(10_000)
    const huge = fileWith('huge.jsonl', CAPTURE)
    for (let count = 0; count < MAX_CAPTURE_RECORDS; count += 10_000) {
      writeFileSync(huge, lines, { flag: 'a' })
    }
    const { exitCode, line } = await failure([huge, ...out])
    expect(line).toMatch(/line 1000003: there are more than 1000000 records$/)
    expect(exitCode).toBe(2)
  })
})
