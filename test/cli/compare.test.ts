// `anytls compare` as a user has it: files in, text or JSON out; what bad ones get.
import { linkSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { encodeCaptureLine } from '../../src/harness/capture/capture-event.ts'
import { makeRuns } from '../harness/compare/runs.ts'
import { runProgram } from './run-program.ts'

const folder = mkdtempSync(join(tmpdir(), 'compare-command-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** A capture as the command writes one: sizes on the wire, no handshake. */
function capture(name: string, count: number, seed: number, shift = 0): string {
  const lines = [
    encodeCaptureLine({
      ...{ format: 'anytls-capture', version: 1, to: 'localhost:443' },
      started: '2026-01-01T00:00:00Z',
    }),
  ]
  for (const [place, run] of makeRuns(count, seed, shift).entries()) {
    const connection = place + 1
    lines.push(encodeCaptureLine({ event: 'open', connection, time: place }))
    const records = (['up', 'down'] as const).flatMap((direction) =>
      run[direction].times.map((time, index) => ({
        ...{ event: 'record' as const, connection, direction, time, type: 23 },
        bytes: 22 + (run[direction].sizes[index] ?? 0),
      })),
    )
    records.sort((one, other) => one.time - other.time)
    lines.push(...records.map((record) => encodeCaptureLine(record)))
  }
  const path = join(folder, name)
  writeFileSync(path, lines.join(''))
  return path
}

const A = capture('a', 60, 1)
const MORE_A = capture('more-a', 40, 2)
const B = capture('b', 100, 3, 400)
const FEW = capture('few', 20, 4)
const NO_SKIP = ['--skip-up', '0', '--skip-down', '0']

async function ran(...args: string[]) {
  const program = runProgram(['compare', ...args, ...NO_SKIP])
  const { code } = await program.ended
  return { code, stdout: program.stdout(), stderr: program.stderr() }
}

describe('anytls compare', { timeout: 120_000 }, () => {
  it('takes several files a side and prints JSON with all that it found', async () => {
    const { code, stdout } = await ran(A, MORE_A, '--with', B, '--json')
    expect(code).toBe(0)
    const found = JSON.parse(stdout) as Record<string, unknown>
    expect(Object.keys(found).sort()).toEqual([
      ...['auc', 'byRecords', 'ci', 'connections', 'distances', 'features', 'folds', 'p'],
      ...['seed', 'trees'],
    ])
    expect(found.connections).toEqual({ a: 100, b: 100 })
    expect(found.auc).toBeGreaterThan(0.95)
    expect(Object.keys(found.ci as object)).toEqual(['low', 'high'])
  })

  it('prints text for people', async () => {
    const { code, stdout } = await ran(A, '--with', B)
    expect(code).toBe(0)
    expect(stdout).toMatch(
      /^60 connections with 100, seed 1\nAUC [\d.]+, 95 % [\d.]+ to [\d.]+, p < 0\.001: they can be told apart\n/,
    )
    expect(stdout).toMatch(/\nrecords +AUC +95 %\n1 +/)
    expect(stdout).toMatch(/\nRecord by record: \d+ of \d+ differ \(p < 0\.05, Holm\)\n/)
  })

  it('says when there are too few, exit code 2', async () => {
    const { code, stdout, stderr } = await ran(A, '--with', FEW)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toBe(
      'anytls: a comparison takes at least 50 connections a side; there are 60 with records on one side and 20 on the other\n',
    )
  })

  it('refuses a file on both sides, whatever its name', async () => {
    const link = join(folder, 'link')
    linkSync(A, link)
    const { code, stderr } = await ran(A, '--with', B, link)
    expect(code).toBe(2)
    expect(stderr).toBe(`anytls: '${link}' stands there twice\n`)
  })

  it('names a file that is none of its kinds, and misses --with', async () => {
    const other = join(folder, 'other')
    writeFileSync(other, 'hello\n')
    const broken = await ran(A, '--with', other)
    expect(broken.code).toBe(2)
    expect(broken.stderr).toContain(`'${other}': line 1: it begins neither`)
    expect((await ran(A)).code).toBe(2)
  })
})
