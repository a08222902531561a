// Holds the layers of the house: who may import whom, and which folders do no I/O; and the habits of its files.
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { VERSION } from '../src/version.ts'
import { BY_TEXT, BY_WORK } from './support/promises.ts'

const ROOT = fileURLToPath(new URL('../', import.meta.url))
const SRC = join(ROOT, 'src')

/**
 * Each folder and what it may import beside itself; `errors.ts` and `version.ts` are open to all. The wires know
 * nothing of each other.
 */
const CORE = ['codec', 'shaping', 'engine']
const WIRES = ['wires/anytls', 'wires/legacy', 'wires/muxpro', 'wires/netmux']
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  codec: [],
  shaping: ['codec'],
  engine: ['codec', 'shaping'],
  ...Object.fromEntries(WIRES.map((wire) => [wire, CORE])),
  session: [...CORE, ...WIRES],
  fallback: ['codec'],
  tls: [...CORE, ...WIRES, 'session', 'fallback'],
  proxy: [...CORE, ...WIRES, 'session', 'fallback', 'tls'],
  serve: [...CORE, ...WIRES, 'session', 'fallback', 'tls', 'proxy'],
  harness: [...CORE, ...WIRES],
  cli: [...CORE, ...WIRES, 'session', 'fallback', 'tls', 'proxy', 'serve', 'harness'],
}

const NO_IO = [...CORE, ...WIRES]

/** `wires/anytls` for a file of a wire, the first folder else, nothing at the top. */
function folderOf(path: string): string {
  const parts = path.split('/').slice(0, -1)
  return parts.slice(0, parts[0] === 'wires' ? 2 : 1).join('/')
}

/** What code without I/O must not touch: modules, clocks, random sources, Node's globals. */
const FORBIDDEN_GLOBALS =
  /\b(?:Date|performance|Math\.random|setTimeout|setInterval|setImmediate|queueMicrotask|process|Buffer|crypto)\b[.(]/

interface SourceFile {
  readonly path: string
  readonly folder: string
  readonly text: string
  readonly imports: readonly string[]
}

const files: readonly SourceFile[] = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts'))
  .map((path) => {
    const text = readFileSync(join(SRC, path), 'utf8')
    const imports = [...text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map(
      ([, name]) => name ?? '',
    )
    return { path, folder: folderOf(path), text, imports }
  })

describe('the layers', () => {
  it('every folder is known', () => {
    const folders = new Set(files.map(({ folder }) => folder).filter((folder) => folder !== ''))
    expect([...folders].filter((folder) => !(folder in MAY_IMPORT))).toEqual([])
  })

  it('imports run downward only', () => {
    const wrong: string[] = []
    for (const { path, folder, imports } of files) {
      if (folder === '') continue
      for (const name of imports.filter((name) => name.startsWith('.'))) {
        const target = relative(SRC, resolve(SRC, dirname(path), name))
        const targetFolder = folderOf(target)
        if (targetFolder === folder || ['errors.ts', 'version.ts'].includes(target)) continue
        if (MAY_IMPORT[folder]?.includes(targetFolder) !== true) wrong.push(`${path} -> ${target}`)
      }
    }
    expect(wrong).toEqual([])
  })

  it('errors.ts and version.ts import nothing', () => {
    const leaves = files.filter(({ path }) => ['errors.ts', 'version.ts'].includes(path))
    expect(leaves.flatMap(({ imports }) => imports)).toEqual([])
  })

  it('folders without I/O import no module of Node', () => {
    const wrong = files
      .filter(({ folder }) => NO_IO.includes(folder))
      .flatMap(({ path, imports }) =>
        imports
          .filter((name) => name.startsWith('node:') || builtinModules.includes(name))
          .map((name) => `${path} -> ${name}`),
      )
    expect(wrong).toEqual([])
  })

  it('folders without I/O use no clock, random source or global of Node', () => {
    const wrong = files
      .filter(({ folder }) => NO_IO.includes(folder))
      .flatMap(({ path, text }) =>
        text
          .split('\n')
          .filter((line) => !/^\s*(?:\/\/|\*|\/\*)/.test(line) && FORBIDDEN_GLOBALS.test(line))
          .map((line) => `${path}: ${line.trim()}`),
      )
    expect(wrong).toEqual([])
  })

  it('no imports go round in a circle between files, those of types included', () => {
    const graph = new Map(
      files.map(({ path, text }) => [
        path,
        [...text.matchAll(/^(?:import|export) [^']*'(\.[^']+)'/gm)].map(([, name]) =>
          relative(SRC, resolve(SRC, dirname(path), name ?? '')),
        ),
      ]),
    )
    const done = new Set<string>()
    const circles: string[] = []
    const visit = (path: string, trail: readonly string[]): void => {
      if (trail.includes(path)) circles.push([...trail, path].join(' -> '))
      if (done.has(path) || trail.includes(path)) return
      for (const next of graph.get(path) ?? []) visit(next, [...trail, path])
      done.add(path)
    }
    for (const path of graph.keys()) visit(path, [])
    expect(circles).toEqual([])
  })
})

const HEADS = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((name) => /\.(?:ts|js)$/.test(name))
  .map((name) => {
    const text = readFileSync(join(SRC, name), 'utf8')
    const head = /^(?:#!.*\n)?(?:\/\/.*\n)+/.exec(text)?.[0] ?? ''
    return { name, head: head.replaceAll('\n// ', ' '), body: text.slice(head.length) }
  })

/** All that is promised, each with its file. */
const PROMISED = HEADS.flatMap(({ name, head }) =>
  head
    .split(/ust never:? /)
    .slice(1)
    .map((promise) => ({ name, promise })),
)

describe('heads of files', () => {
  it('every file says what it is for', () => {
    expect(HEADS.filter(({ head }) => head === '').map(({ name }) => name)).toEqual([])
  })

  it('nothing is promised that no test holds', () => {
    const isHeld = (promise: string): boolean =>
      BY_TEXT.some(([text]) => text.test(promise)) ||
      BY_WORK.some(([words]) => promise.startsWith(words))
    expect(PROMISED.filter(({ promise }) => !isHeld(promise))).toEqual([])
  })

  it.each(BY_TEXT)('must never %s: nothing in the text breaks it', (promise, broken) => {
    const promising = HEADS.filter(({ head }) => /ust never/.test(head) && promise.test(head))
    expect(promising.length).toBeGreaterThan(0)
    expect(promising.filter(({ body }) => broken.test(body)).map(({ name }) => name)).toEqual([])
  })

  it('what is held by tests is promised, and they are there', () => {
    const wrong = BY_WORK.flatMap(([words, ...tests]) => [
      ...(tests.length === 0 || !PROMISED.some(({ promise }) => promise.startsWith(words))
        ? [words]
        : []),
      ...tests.filter((test) => {
        const [file = '', title = ''] = test.split(/: (.*)/s)
        const path = join(ROOT, 'test', `${file}.test.ts`)
        return !existsSync(path) || !readFileSync(path, 'utf8').includes(title)
      }),
    ])
    expect(wrong).toEqual([])
  })
})

describe('the package', () => {
  it('every test that may be skipped says in its title when', () => {
    const parens = String.raw`\((?:[^()]|\([^()]*\))*\)`
    const condition = String.raw`\.(?:skipIf|runIf)(?=\()`
    const title = String.raw`\(\s*(?:'[^'\n]*\(only [^'\n]+\)'|\`[^\`]*\$\{(?:\w+\.)?note\}\`)`
    const silent = new RegExp(`${condition}(?!${parens}(?:\\.\\w+${parens})?${title}).*`, 'g')
    const wrong = readdirSync(join(ROOT, 'test'), { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.test.ts'))
      .flatMap((path) => {
        const text = readFileSync(join(ROOT, 'test', path), 'utf8')
        return (text.match(silent) ?? []).map((call) => `${path}: ${call}`)
      })
    expect(wrong).toEqual([])
  })

  it('the README has no placeholder left', () => {
    const text = readFileSync(join(ROOT, 'README.md'), 'utf8')
    expect(text.match(/^[ \t]*[A-Z][A-Z\d]*_[A-Z\d_]+[ \t]*$/gm) ?? []).toEqual([])
  })

  it('the version in the code is the version of the package', () => {
    const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
      version: string
    }
    expect(VERSION).toBe(manifest.version)
  })
})
