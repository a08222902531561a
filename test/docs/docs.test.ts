// What the documentation shows works: every TypeScript block compiles against the sources, and one that a block of text
// follows says just that when it is run; options of commands exist; the page of errors is the table of errors; links
// lead somewhere.
import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import ts from 'typescript'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ERROR_TEXT } from '../../src/errors.ts'
import { MAIN } from '../cli/run-program.ts'
import { makeTestCertificate } from '../support/certificate.ts'

const ROOT = join(import.meta.dirname, '../..')
const PAGES = [
  ...['README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'examples/README.md'],
  ...readdirSync(join(ROOT, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
]
const texts = new Map(PAGES.map((page) => [page, readFileSync(join(ROOT, page), 'utf8')]))

interface Block {
  /** Where it stands, for people. */
  readonly place: string
  readonly language: string
  readonly text: string
  /** The block of text right behind it. */
  readonly says: string | undefined
}

const blocks = [...texts].flatMap(([page, text]) => blocksOf(page, text))
const programs = blocks.filter(({ language }) => language === 'ts')
const folder = mkdtempSync(join(tmpdir(), 'docs-'))
afterAll(() => rmSync(folder, { recursive: true }))

beforeAll(async () => {
  const { key, cert } = await makeTestCertificate()
  writeFileSync(join(folder, 'key.pem'), key)
  writeFileSync(join(folder, 'cert.pem'), cert)
})

describe('documentation', { timeout: 60_000 }, () => {
  it('every TypeScript block compiles', () => {
    expect(programs.length).toBeGreaterThan(5)
    expect(problemsOf(programs)).toEqual([])
  })

  it('a block that does not compile would be found', () => {
    const text = "import { connect } from 'anytls'\nconst session: string = await connect({})\n"
    const wrong = { place: 'here', language: 'ts', text, says: undefined }
    expect(problemsOf([wrong]).join()).toContain('here')
  })

  it.each(programs.filter(({ says }) => says !== undefined).map((block) => [block.place, block]))(
    '%s says what the text behind it shows',
    async (_, block) => {
      const { place, text, says } = block
      const file = join(folder, `${place.replaceAll(/\W/g, '-')}.mjs`)
      await build({
        stdin: { contents: text, loader: 'ts', resolveDir: ROOT },
        ...{ outfile: file, bundle: true, platform: 'node', format: 'esm', logLevel: 'silent' },
        banner: {
          js: "import{createRequire}from'node:module';const require=createRequire(import.meta.url);",
        },
        alias: Object.fromEntries(names().map(([name, path]) => [name, path])),
      })
      const { stdout } = await promisify(execFile)(process.execPath, [file], {
        ...{ cwd: folder, timeout: 30_000 },
      })
      expect(stdout).toBe(says)
    },
  )

  it('every function, class and constant of the public faces is used in a block', async () => {
    const used = new Map<string, Set<string>>()
    for (const { text } of programs) {
      for (const [, list, face] of text.matchAll(/^import \{([^}]*)\} from '(anytls[a-z/]*)'/gm)) {
        for (const name of list!.split(',')) {
          used.set(face!, (used.get(face!) ?? new Set()).add(name.trim()))
        }
      }
    }
    const missing: string[] = []
    for (const [face, path] of names()) {
      const values = Object.keys((await import(path)) as object)
      expect(values.length).toBeGreaterThan(0)
      for (const name of values) {
        // Errors and codes are the same ones everywhere.
        const everywhere = [...used.values()].some((names) => names.has(name))
        if (!everywhere) missing.push(`${face}: ${name}`)
      }
    }
    expect(missing).toEqual([])
  })

  it('the page of errors is the table of errors, in its order', () => {
    const rows = [...texts.get('docs/errors.md')!.matchAll(/^\| `(ERR_\w+)` +\| (.*?) +\|/gm)]
    expect(rows.map(([, code, text]) => [code, text])).toEqual(Object.entries(ERROR_TEXT))
  })

  it('every option of a command that is shown exists', async () => {
    const lines = blocks
      .filter(({ language }) => language === 'sh')
      .flatMap(({ place, text }) =>
        [...text.replaceAll('\\\n', ' ').matchAll(/\banytls ([a-z].*)/g)].map(([, line]) => {
          const words = line!.replace(/\s#.*/, '').split(/\s+/)
          const end = words.findIndex((word) => !/^[a-z]+$/.test(word))
          return { place, words, command: words.slice(0, end < 0 ? undefined : end) }
        }),
      )
    const helps = new Map<string, string>()
    for (const { command } of lines) {
      const { stdout } = await promisify(execFile)(process.execPath, [MAIN, ...command, '--help'])
      helps.set(command.join(' '), stdout)
    }
    expect(helps.size).toBeGreaterThan(5)
    const unknown = lines.flatMap(({ place, words, command }) =>
      words
        .filter((word) => /^--[a-z]/.test(word))
        .map((word) => word.replace(/=.*/, ''))
        .filter((word) => !new RegExp(`${word}\\b`).test(helps.get(command.join(' '))!))
        .map((word) => `${place}: anytls ${command.join(' ')} ${word}`),
    )
    expect(unknown).toEqual([])
  })

  it('every link to a file leads to one', () => {
    const broken = [...texts].flatMap(([page, text]) =>
      [...text.matchAll(/\]\((?!https?:|#)([^)#]+)/g)]
        .map(([, target]) => relative(ROOT, join(ROOT, dirname(page), target!)))
        .filter((target) => !existsSync(join(ROOT, target)))
        .map((target) => `${page}: ${target}`),
    )
    expect(broken).toEqual([])
  })

  it('every script of npm that is named exists', () => {
    const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
      scripts: Record<string, string>
    }
    const named = [...texts.values()].flatMap((text) =>
      [...text.matchAll(/npm run ([a-z:-]+)/g)].map(([, name]) => name!),
    )
    expect(named.filter((name) => scripts[name] === undefined)).toEqual([])
  })
})

/** The names that a package may import, with the sources that stand behind them. */
function names(): [name: string, path: string][] {
  return ['codec', 'shaping', 'muxpro', 'netmux', 'proxy', 'serve', 'index'].map((name) => [
    name === 'index' ? 'anytls' : `anytls/${name}`,
    join(ROOT, 'src', `${name}.ts`),
  ])
}

function blocksOf(page: string, text: string): Block[] {
  const found = [...text.matchAll(/^```(\w*)\n([^]*?)^```\n/gm)]
  return found.map((match, index) => {
    const [whole, language = '', body = ''] = match
    const next = found[index + 1]
    const follows =
      next?.[1] === 'text' && text.slice(match.index + whole.length, next.index).trim() === ''
    const line = text.slice(0, match.index).split('\n').length
    return { place: `${page}:${line}`, language, text: body, says: follows ? next[2] : undefined }
  })
}

/** What the compiler says of them, all in one go, each a module of its own. */
function problemsOf(modules: readonly Block[]): string[] {
  const config = ts.readConfigFile(join(ROOT, 'tsconfig.json'), (path) => ts.sys.readFile(path))
  const { options } = ts.parseJsonConfigFileContent(config.config, ts.sys, ROOT)
  const files = new Map(
    modules.map(({ text }, index) => [join(ROOT, `block-${index}.ts`), `${text}\nexport {}\n`]),
  )
  const host = ts.createCompilerHost(options)
  const fileExists = host.fileExists.bind(host)
  const readFile = host.readFile.bind(host)
  const getSourceFile = host.getSourceFile.bind(host)
  host.fileExists = (path) => files.has(path) || fileExists(path)
  host.readFile = (path) => files.get(path) ?? readFile(path)
  host.getSourceFile = (path, language, onError, createAnew) => {
    const text = files.get(path)
    return text === undefined
      ? getSourceFile(path, language, onError, createAnew)
      : ts.createSourceFile(path, text, language)
  }
  const program = ts.createProgram({
    rootNames: [...files.keys()],
    options: {
      ...options,
      // What an example declares is for its reader.
      ...{ noUnusedLocals: false, noUnusedParameters: false },
      paths: Object.fromEntries(names().map(([name, path]) => [name, [path]])),
    },
    host,
  })
  return [...files.keys()].flatMap((path, index) => {
    const source = program.getSourceFile(path)
    const found = [
      ...program.getSyntacticDiagnostics(source),
      ...program.getSemanticDiagnostics(source),
    ]
    return found.map(({ messageText, start }) => {
      const line = source!.getLineAndCharacterOfPosition(start ?? 0).line + 1
      const text = ts.flattenDiagnosticMessageText(messageText, ' ')
      return `${modules[index]!.place} line ${line}: ${text}`
    })
  })
}
