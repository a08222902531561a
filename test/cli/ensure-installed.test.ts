// scripts/ensure-installed.mjs, in a copy of a project with an npm that only notes how it was called.

import { spawnSync } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'

const script = join(import.meta.dirname, '../../scripts/ensure-installed.mjs')
const root = mkdtempSync(join(tmpdir(), 'install-'))
const npm = join(root, 'npm-cli.js')
let count = 0
let project = ''

beforeEach(() => {
  project = join(root, `project-${++count}`)
  mkdirSync(join(project, 'scripts'), { recursive: true })
  copyFileSync(script, join(project, 'scripts', 'ensure-installed.mjs'))
  writeLock('package-lock.json', {
    '': {},
    'node_modules/a': version('1'),
    'node_modules/b': optional,
  })
})
afterAll(() => rmSync(root, { recursive: true }))

const version = (text: string) => ({ version: text, integrity: `sha512-${text}` })
const optional = { ...version('1'), optional: true }

describe('ensure-installed', () => {
  it('npm start: with the locked packages in place nothing is done', () => {
    install(['a'], { 'node_modules/a': version('1') })
    expect(run()).toEqual({ status: 0, stderr: '', called: false })
  })

  it('npm start: without node_modules npm ci runs', () => {
    expect(run()).toMatchObject({ status: 0, called: true })
    expect(readFileSync(join(project, 'called'), 'utf8')).toMatch(/^ci( |$)/)
  })

  it('npm start: another version than the locked one, or a package whose folder is gone, runs npm ci', () => {
    install(['a'], { 'node_modules/a': version('2') })
    expect(run().called).toBe(true)
    rmSync(join(project, 'called'))
    install([], { 'node_modules/a': version('1') })
    rmSync(join(project, 'node_modules', 'a'), { recursive: true })
    expect(run().called).toBe(true)
  })

  it('npm start: a node_modules that is a link to another folder is left alone', () => {
    mkdirSync(join(project, 'elsewhere'))
    symlinkSync(join(project, 'elsewhere'), join(project, 'node_modules'))
    expect(run()).toEqual({ status: 0, stderr: '', called: false })
  })

  it('npm start: when npm ci fails there is one line that says so, and exit code 1', () => {
    const { status, stderr } = run('process.exit(7)')
    expect(status).toBe(1)
    expect(stderr).toContain('anytls: npm ci failed (exit code 7)')
    expect(stderr).not.toContain('    at ')
  })

  it('npm start: a Node that is too old is told so before anything else', () => {
    const { status, stderr, called } = run('', ['--import', oldNode()])
    expect(status).toBe(1)
    expect(stderr).toBe('anytls: Node 20.19 or newer is needed; this is 20.18.1\n')
    expect(called).toBe(false)
  })
})

function run(npmDoes = '', nodeOptions: string[] = []) {
  writeFileSync(
    npm,
    `require('fs').writeFileSync('called', process.argv.slice(2).join(' ')); ${npmDoes}`,
  )
  const { status, stderr } = spawnSync(
    process.execPath,
    [...nodeOptions, join(project, 'scripts', 'ensure-installed.mjs')],
    { encoding: 'utf8', env: { ...process.env, npm_execpath: npm } },
  )
  return { status, stderr, called: existsSync(join(project, 'called')) }
}

function install(folders: string[], packages: object): void {
  for (const name of folders) mkdirSync(join(project, 'node_modules', name), { recursive: true })
  writeLock('node_modules/.package-lock.json', packages)
}

function writeLock(path: string, packages: object): void {
  writeFileSync(join(project, path), JSON.stringify({ packages }))
}

function oldNode(): string {
  const versions = `{ ...process.versions, node: '20.18.1' }`
  const code = `Object.defineProperty(process, 'versions', { value: ${versions} })`
  return `data:text/javascript,${encodeURIComponent(code)}`
}
