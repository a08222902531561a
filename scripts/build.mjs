// Builds `dist/`: the library, which depends on @noble/hashes alone; its types; and the commands, which bring
// what they use with them in pieces that load when they are needed. `npm run build`.

import { spawnSync } from 'node:child_process'
import {
  existsSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))
const DIST = join(ROOT, 'dist')
/** As old as the start of the last build; nothing is newer if nothing has changed. */
const STAMP = join(DIST, '.built')
const INPUTS = [
  'src',
  'scripts/build.mjs',
  'package.json',
  'package-lock.json',
  'tsconfig.json',
  'tsconfig.build.json',
]
const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))

/** The names of the files in src/ that package.json exports. */
const ENTRIES = [
  ...new Set(
    Object.values(manifest.exports).flatMap(({ default: file }) =>
      file === undefined ? [] : [/^\.\/dist\/(.+)\.js$/.exec(file)[1]],
    ),
  ),
]
/** The programs of src/cli. */
const PROGRAMS = ['main', 'demo']

/** Licences that ask for no more than their text to be passed on. */
const PERMISSIVE = [
  ...['0BSD', 'Apache-2.0', 'BSD-2-Clause', 'BSD-3-Clause', 'ISC', 'MIT'],
  // A choice, of which the first is taken.
  '(BSD-3-Clause OR GPL-2.0)',
]

/** Whether dist/ holds what the sources say, with the types if they are wanted. */
function isBuilt({ types }) {
  if (types && !existsSync(join(DIST, 'index.d.ts'))) return false
  return newest(INPUTS.map((name) => join(ROOT, name))) <= newest([STAMP])
}

/** Builds what is not there or older than the sources; what a test runs just now stays in its place. */
export async function ensureBuilt({ types }) {
  if (!isBuilt({ types: false })) await buildAll({ types })
  else if (types && !isBuilt({ types })) buildTypes()
}

/** The types take the compiler and some ten seconds, everything else takes one. */
async function buildAll({ types }) {
  console.error('building ...')
  // No dependency is imported before there is one: `npm start` runs on a fresh clone.
  const { build } = await import('esbuild')
  // What changes during the build is newer than it.
  const started = new Date()
  rmSync(DIST, { recursive: true, force: true })
  await buildLibrary(build)
  await buildPrograms(build)
  if (types) buildTypes()
  writeFileSync(STAMP, '')
  utimesSync(STAMP, started, started)
}

/** When the youngest of the files and folders was changed, in ms; 0 when there is none. */
function newest(paths) {
  return paths.reduce((time, path) => {
    const stat = statSync(path, { throwIfNoEntry: false })
    if (stat === undefined) return time
    const inside = stat.isDirectory() ? readdirSync(path).map((name) => join(path, name)) : []
    return Math.max(time, stat.mtimeMs, newest(inside))
  }, 0)
}

const COMMON = {
  absWorkingDir: ROOT,
  outbase: 'src',
  outdir: 'dist',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  legalComments: 'none',
  logLevel: 'warning',
}

/**
 * esbuild makes a chunk for each set of entries that share something, and each file costs who imports the library half a
 * millisecond or more. So every entry imports what most of them share, and those with sessions what they share: one
 * chunk each. Of a file without side effects that comes to nothing else.
 */
const FEWER_CHUNKS = {
  name: 'fewer-chunks',
  setup(build) {
    const codec = readdirSync(join(ROOT, 'src', 'codec')).map((file) => `codec/${file}`)
    const shared = ['errors.ts', ...codec, 'shaping/shaper.ts', 'engine/receive-window.ts']
    const ofSessions = ['session/pool.ts']
    const withSessions = new Set(['index', 'muxpro', 'netmux', 'proxy'])
    build.onLoad({ filter: /[\\/]src[\\/]\w+\.ts$/ }, ({ path }) => {
      const name = basename(path, '.ts')
      if (!ENTRIES.includes(name)) return undefined
      const added = withSessions.has(name) ? [...shared, ...ofSessions] : shared
      const imports = added.map((file) => `import './${file}'\n`).join('')
      return { loader: 'ts', contents: `${readFileSync(path, 'utf8')}${imports}` }
    })
  },
}

async function buildLibrary(build) {
  await build({
    ...COMMON,
    entryPoints: ENTRIES.map((name) => `src/${name}.ts`),
    chunkNames: 'chunks/[hash]',
    packages: 'external',
    plugins: [FEWER_CHUNKS],
    logOverride: { 'ignored-bare-import': 'silent' },
  })
}

/** What the page of the admin server loads beside its own. */
const PAGE_PACKAGES = ['node_modules/uplot/dist/uPlot.esm.js', 'node_modules/uqr/dist/index.mjs']

/** The programs bring the text of the page with them. */
const PAGE_FILES = {
  name: 'page-files',
  setup(build) {
    build.onLoad({ filter: /serve\/admin\/page-files\.ts$/ }, () => {
      const page = join(ROOT, 'src', 'serve', 'admin', 'page')
      const [uplot, uqr] = PAGE_PACKAGES.map((path) => join(ROOT, path))
      const places = {
        'index.html': join(page, 'index.html'),
        'page.css': join(page, 'page.css'),
        'page.js': join(page, 'page.js'),
        'uplot.js': uplot,
        'uplot.css': join(dirname(uplot), 'uPlot.min.css'),
        'uqr.js': uqr,
      }
      const read = Object.entries(places).map(([name, place]) => [
        name,
        readFileSync(place, 'utf8'),
      ])
      const files = JSON.stringify(Object.fromEntries(read))
      return { contents: `export const readPageFiles = () => (${files})`, loader: 'js' }
    })
  },
}

async function buildPrograms(build) {
  const { metafile } = await build({
    ...COMMON,
    entryPoints: PROGRAMS.map((name) => `src/cli/${name}.ts`),
    chunkNames: 'cli/chunks/[name]-[hash]',
    // Modules are left out where they are not used, and have named exports where they are imported late.
    mainFields: ['module', 'main'],
    // Names stay, for the traces that --log-level debug shows.
    minifySyntax: true,
    minifyWhitespace: true,
    // CommonJS packages call it for the modules of Node.
    banner: {
      js: "import{createRequire}from'node:module';const require=createRequire(import.meta.url);",
    },
    metafile: true,
    plugins: [PAGE_FILES],
  })
  const inputs = [...Object.keys(metafile.inputs), ...PAGE_PACKAGES]
  writeFileSync(join(DIST, 'cli', 'LICENSES.txt'), licences(inputs))
}

function buildTypes() {
  const compiler = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc')
  const { status } = spawnSync(process.execPath, [compiler, '-p', 'tsconfig.build.json'], {
    cwd: ROOT,
    stdio: ['ignore', 2, 2],
  })
  if (status !== 0) throw new Error('the compiler found errors; what it said stands above')
  for (const path of readdirSync(DIST, { recursive: true, encoding: 'utf8' })) {
    if (path.endsWith('.d.ts')) withoutDecisions(join(DIST, path))
  }
}

/** The numbers of spec-notes/decisions.md, which is not in the package, say nothing to its users. */
function withoutDecisions(file) {
  const gap = String.raw`(?:\s|\*)*`
  const numbers = String.raw`D\d+(?:,${gap}D\d+)*`
  const text = readFileSync(file, 'utf8')
    .replaceAll(new RegExp(String.raw`\s(?:\s|\*)*\(${numbers}\)`, 'g'), '')
    .replaceAll(new RegExp(String.raw`[,;]${gap}${numbers}\)`, 'g'), ')')
    .replaceAll(new RegExp(String.raw`\(${numbers}[:;,]${gap}`, 'g'), '(')
  writeFileSync(file, text)
}

/** What the packages that are bundled ask to be passed on. */
function licences(inputs) {
  const folders = new Set(inputs.flatMap((input) => packageFolder(input) ?? []))
  const texts = [...folders].sort().map((folder) => {
    const { name, version, license } = JSON.parse(
      readFileSync(join(ROOT, folder, 'package.json'), 'utf8'),
    )
    if (!PERMISSIVE.includes(license)) throw new Error(`${name}: may ${license} be bundled?`)
    const file = readdirSync(join(ROOT, folder)).find((entry) => /^licen[sc]e/i.test(entry))
    const text = file && readFileSync(join(ROOT, folder, file), 'utf8').trim()
    return `${name} ${version} (${license})\n\n${text ?? `Licensed under ${license}.`}\n`
  })
  const opening = `The programs in this folder contain the following packages.\n`
  return [opening, ...texts].join(`\n${'-'.repeat(78)}\n\n`)
}

/** `node_modules/pino` of `node_modules/pino/lib/levels.js`; nothing for a file of ours. */
function packageFolder(input) {
  const parts = relative(ROOT, join(ROOT, input)).split(sep)
  const at = parts.lastIndexOf('node_modules')
  if (at < 0) return undefined
  const length = parts[at + 1].startsWith('@') ? 3 : 2
  return parts.slice(0, at + length).join(sep)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await buildAll({ types: true })
}
