// What `npm install anytls` brings, how large it is, and that it works and is quick where nothing else is installed.
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core'
import { problemAffectsResolutionKind } from '@arethetypeswrong/core/problems'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { VERSION } from '../../src/version.ts'
import { installPackage } from './support.ts'

const run = promisify(execFile)
const folder = mkdtempSync(join(tmpdir(), 'package-'))
const modules = join(folder, 'node_modules')
const anytls = join(modules, 'anytls')
let tarball = ''

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>
  readonly exports: Readonly<Record<string, unknown>>
}
const manifest = () => JSON.parse(readFileSync(join(anytls, 'package.json'), 'utf8')) as Manifest
const subpaths = () =>
  Object.keys(manifest().exports)
    .filter((path) => !path.endsWith('.json'))
    .map((path) => path.replace(/^\./, 'anytls'))

/** Runs a program in the folder of the user. */
const node = (...args: readonly string[]) => run(process.execPath, args, { cwd: folder })
const command = (...args: readonly string[]) => node(join(anytls, 'dist/cli/main.js'), ...args)

beforeAll(async () => {
  ;({ tarball } = await installPackage(folder))
}, 120_000)
afterAll(() => rmSync(folder, { recursive: true }))

describe('the package', { timeout: 60_000 }, () => {
  it('brings @noble/hashes and nothing else, in at most 6 MB', () => {
    expect(Object.keys(manifest().dependencies)).toEqual(['@noble/hashes'])
    const installed = readdirSync(modules)
      .filter((name) => !name.startsWith('.'))
      .flatMap((name) =>
        name.startsWith('@')
          ? readdirSync(join(modules, name)).map((inner) => `${name}/${inner}`)
          : [name],
      )
    expect(installed.sort()).toEqual(['@noble/hashes', 'anytls'])
    const sizes = filesIn(modules).map((path) => statSync(path).size)
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(6_000_000)
  })

  it('has neither sources nor maps to sources that are not there', () => {
    const files = filesIn(anytls)
    expect(files.filter((path) => /\.map$|dist.*(?<!\.d)\.ts$|\.built$/.test(path))).toEqual([])
    const pointing = files.filter((path) =>
      readFileSync(path, 'utf8').includes('sourceMappingURL='),
    )
    expect(pointing).toEqual([])
  })

  it('has a README whose links lead somewhere', () => {
    const text = readFileSync(join(anytls, 'README.md'), 'utf8')
    const targets = [...text.matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map(([, path = '']) => path)
    expect(targets.length).toBeGreaterThan(10)
    expect(targets.filter((path) => !existsSync(join(anytls, path)))).toEqual([])
  })

  it('says of each package that is bundled whose it is and under which licence', () => {
    const text = readFileSync(join(anytls, 'dist/cli/LICENSES.txt'), 'utf8')
    const bundled = ['commander', 'pino', 'linkedom', '@observablehq/plot', '@peculiar/x509', 'uqr']
    for (const name of bundled) expect(text).toMatch(new RegExp(`^${name} \\d.* \\(\\S+\\)$`, 'm'))
    expect(text.match(/permission/gi)?.length).toBeGreaterThan(bundled.length)
  })

  it('has types that cite no number of a note that is not in it', () => {
    const citing = filesIn(anytls)
      .filter((path) => path.endsWith('.d.ts'))
      .flatMap((path) => /.*\bD\d+\b.*/.exec(readFileSync(path, 'utf8'))?.[0] ?? [])
    expect(citing).toEqual([])
  })

  it('pleases publint, and its types resolve as its code does', async () => {
    const { messages } = await publint({ pkgDir: anytls, pack: false, strict: true })
    expect(messages.map((message) => formatMessage(message, manifest()))).toEqual([])

    const result = await checkPackage(createPackageFromTarballData(readFileSync(tarball)))
    if (result.types === false) throw new Error('there are no types')
    // The package is modules alone: `require` takes them in every Node that it runs on, and subpaths want `exports`.
    const problems = result.problems.filter((problem) =>
      (['node16-esm', 'bundler'] as const).some((kind) =>
        problemAffectsResolutionKind(problem, kind, result),
      ),
    )
    expect(problems).toEqual([])
  })
})

describe('installed', { timeout: 60_000 }, () => {
  it('every subpath can be imported, and required', async () => {
    for (const path of subpaths()) {
      const code = `console.log(Object.keys(await import('${path}')).join())`
      const { stdout } = await node('--input-type=module', '-e', code)
      expect(stdout).toMatch(/AnyTlsError/)
      const { stdout: required } = await node(
        '--disable-warning=ExperimentalWarning',
        ...['-p', `Object.keys(require('${path}')).join()`],
      )
      expect(required).toMatch(/AnyTlsError/)
    }
  })

  it('errors of one subpath are errors of the others', async () => {
    const code = `const [first, ...rest] = await Promise.all(${JSON.stringify(subpaths())}.map((path) => import(path)))
      console.log(rest.every(({ AnyTlsError }) => AnyTlsError === first.AnyTlsError))`
    expect((await node('--input-type=module', '-e', code)).stdout).toBe('true\n')
  })

  it('every command runs', async () => {
    expect((await command('--version')).stdout).toBe(`${VERSION}\n`)
    expect((await command('scheme', 'show', '--json')).stdout).toContain('"digest"')
    const { stdout: simulation } = await command(
      ...['scheme', 'simulate', '--json', '--workload', 'shell'],
    )
    writeFileSync(join(folder, 'a.json'), simulation)
    await command('report', 'a.json', '--out', 'report.html')
    expect(readFileSync(join(folder, 'report.html'), 'utf8')).toContain('<svg')
    const link = await command('link', 'example.com:443', '--password', 'x', '--qr')
    expect(link.stdout).toBe('anytls://x@example.com:443/\n')
    expect(link.stderr).toContain('█')
    expect((await command('compare', '--help')).stdout).toContain('--with')
  })

  it('a server makes its certificate, says where it listens, and ends when told to', async () => {
    const child = spawn(
      process.execPath,
      [join(anytls, 'dist/cli/main.js'), 'server', '-l', '127.0.0.1:0', '--state-dir', folder],
      { env: { ...process.env, ANYTLS_PASSWORD: 'x' }, stdio: ['ignore', 'ignore', 'pipe'] },
    )
    const ended = once(child, 'exit')
    const said: string[] = []
    for await (const line of createInterface({ input: child.stderr })) {
      said.push(line)
      if (line.startsWith('listening on')) child.kill('SIGTERM')
    }
    expect(await ended).toEqual([0, null])
    expect(said.join('\n')).toMatch(/^share link: anytls:\/\/x@127\.0\.0\.1:\d+\/\?hpkp=/)
  })

  it('starting costs little: --version at most 1.6 × a bare node, the library at most 1.5 × on top', async () => {
    // The shell tells what its children took, their start and their end included: bash to the millisecond.
    const cost = async (...args: readonly string[]): Promise<number> => {
      const script = '"$@" >/dev/null && times'
      const { stdout } = await run('bash', ['-c', script, 'bash', process.execPath, ...args], {
        cwd: folder,
      })
      const [, children = ''] = stdout.trim().split('\n')
      const times = children.matchAll(/(\d+)m([\d.]+)s/g)
      return [...times].reduce((sum, [, min, s]) => sum + Number(min) * 60 + Number(s), 0)
    }
    // Others run on this machine, too: what counts is what it takes when they leave it alone.
    const [bare, version, library] = [[] as number[], [] as number[], [] as number[]]
    for (let round = 0; round < 5; round += 1) {
      bare.push(await cost('-e', '0'))
      version.push(await cost(join(anytls, 'dist/cli/main.js'), '--version'))
      library.push(await cost('--input-type=module', '-e', "import 'anytls'"))
    }
    expect(Math.min(...version) / Math.min(...bare)).toBeLessThan(1.6)
    // A bare node takes some 40 ms. With 1.6 measured when it is quiet, there is room for a machine that is not.
    expect(Math.min(...library) / Math.min(...bare)).toBeLessThan(2.5)
  })
})

function filesIn(path: string): readonly string[] {
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
}
