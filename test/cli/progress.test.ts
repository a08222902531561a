// What a long command says of its work, and when: nothing of a short one, then at most a line in two seconds.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { compare, observe } from '../../src/harness/compare/compare.ts'
import { Progress } from '../../src/cli/progress.ts'
import { makeRuns } from '../harness/compare/runs.ts'

describe('progress', () => {
  let now = 0
  const lines: string[] = []
  beforeEach(() => {
    now = 0
    lines.length = 0
    vi.spyOn(performance, 'now').mockImplementation(() => now)
    vi.spyOn(process.stderr, 'write').mockImplementation((line) => {
      lines.push(String(line))
      return true
    })
  })
  afterEach(() => {
    vi.restoreAllMocks()
  })

  it('is silent for two seconds, and then says at most a line in two', () => {
    const progress = new Progress()
    for (now = 0; now <= 6_000; now += 500) progress.tell(`step at ${now}`)
    expect(lines).toEqual([
      'anytls: step at 2000 …\n',
      'anytls: step at 4000 …\n',
      'anytls: step at 6000 …\n',
    ])
  })

  it('a file name cannot write to the terminal', () => {
    const progress = new Progress()
    now = 3_000
    progress.tell("reading '\u001b[2J'")
    expect(lines.join('')).not.toContain('\u001b')
  })

  it('of a comparison it comes before each of its steps', () => {
    const observed = (seed: number) => makeRuns(50, seed).map((run) => observe(run)!)
    const progress = new Progress()
    compare(observed(1), observed(2), {
      progress(step) {
        now += 2_000
        progress.tell(`comparing ${step}`)
      },
    })
    expect(lines).toHaveLength(8)
    expect(lines[1]).toBe('anytls: comparing what is known after record 1 …\n')
  })
})
