// A release in one go: `node scripts/release.mjs 0.2.0`. Writes version and changelog, builds, packs, installs the package
// in an empty folder and tries it there, then commits and tags. Publishing stays with a person: the last line says how.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const ROOT = join(import.meta.dirname, '..')
const [version = ''] = process.argv.slice(2)
const path = (name) => join(ROOT, name)
const CHANGED = ['package.json', 'package-lock.json', 'src/version.ts', 'CHANGELOG.md']

if (!/^\d+\.\d+\.\d+(?:-[\da-z.]+)?$/.test(version)) {
  fail('say which version: node scripts/release.mjs 0.2.0', 2)
}
if (run('git', 'status', '--porcelain') !== '') fail('commit what has been changed first')
if (run('git', 'tag', '--list', `v${version}`) !== '') fail(`v${version} has been tagged already`)

const changelog = readFileSync(path('CHANGELOG.md'), 'utf8')
const today = new Date().toISOString().slice(0, 10)
const [news = ''] = /(?<=^## Unreleased\n)[^]*?(?=^## |$(?![^]))/m.exec(changelog) ?? []
if (news.trim() === '') fail('CHANGELOG.md has nothing under "Unreleased"')

const folder = mkdtempSync(join(tmpdir(), 'release-'))
try {
  writeFileSync(
    path('CHANGELOG.md'),
    changelog.replace('## Unreleased\n', `## Unreleased\n\n## ${version} - ${today}\n`),
  )
  const code = readFileSync(path('src/version.ts'), 'utf8')
  writeFileSync(path('src/version.ts'), code.replace(/VERSION = '[^']*'/, `VERSION = '${version}'`))
  run('npm', 'version', '--no-git-tag-version', '--allow-same-version', version)

  // `npm pack` builds.
  const [{ filename }] = JSON.parse(run('npm', 'pack', '--json', '--pack-destination', folder))
  const tarball = join(folder, filename)
  writeFileSync(join(folder, 'package.json'), '{ "private": true }')
  run('npm', 'install', '--prefix', folder, '--no-audit', '--no-fund', tarball)
  const said = run(
    process.execPath,
    join(folder, 'node_modules/anytls/dist/cli/main.js'),
    '--version',
  )
  if (said !== version) fail(`the installed command says ${said}`)
  writeFileSync(
    join(folder, 'try.mjs'),
    "import { connect } from 'anytls'\nconsole.log(typeof connect)\n",
  )
  if (run(process.execPath, join(folder, 'try.mjs')) !== 'function')
    fail('the library cannot be used')

  run('git', 'commit', '--quiet', '--message', `Release ${version}`, '--', ...CHANGED)
  run('git', 'tag', '--annotate', `v${version}`, '--message', `anytls ${version}\n\n${news.trim()}`)
  console.log(
    `v${version} is committed and tagged. To publish: git push --follow-tags && npm publish`,
  )
} catch (error) {
  run('git', 'checkout', '--quiet', 'HEAD', '--', ...CHANGED)
  console.error(error.message)
  process.exitCode = 1
} finally {
  rmSync(folder, { recursive: true })
}

/** What it said on standard output; an Error with what it said on the other where it fails. */
function run(command, ...args) {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: ROOT, encoding: 'utf8' })
  if (status !== 0)
    throw new Error(`${command} ${args.slice(0, 2).join(' ')} failed\n${stderr.trim()}`)
  return stdout.trim()
}

function fail(message, code = 1) {
  console.error(message)
  process.exit(code)
}
