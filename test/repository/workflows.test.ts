// The workflows of the repository are such: actionlint finds nothing wrong, and what they run exists.
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { requireGoBuild } from '../interop/support/go-build.ts'

const ROOT = join(import.meta.dirname, '../..')
const WORKFLOWS = join(ROOT, '.github/workflows')

const actionlint = await requireGoBuild(
  join(import.meta.dirname, 'actionlint'),
  'github.com/rhysd/actionlint/cmd/actionlint',
)

describe('workflows', () => {
  const files = readdirSync(WORKFLOWS).map((name) => join(WORKFLOWS, name))

  it.skipIf(actionlint.isMissing)(`please actionlint${actionlint.note}`, () => {
    const said = execFileSync(actionlint.path, ['-no-color', ...files], { encoding: 'utf8' })
    expect(said).toBe('')
  })

  it('run scripts that exist', () => {
    const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
      scripts: Record<string, string>
    }
    const text = files.map((file) => readFileSync(file, 'utf8')).join('\n')
    const named = [...text.matchAll(/npm run ([a-z:]+)/g)].map(([, name = '']) => name)
    expect(named.filter((name) => scripts[name] === undefined)).toEqual([])
    expect(text).toContain('.ci/run')
    expect(existsSync(join(ROOT, '.ci/run'))).toBe(true)
  })
})
