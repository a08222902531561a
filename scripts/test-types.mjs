// `npm run test:types`: the types of the built package with the oldest and the newest compilers that users have. They come
// from npm, into a folder of their own.
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ensureBuilt } from './build.mjs'

const ROOT = join(import.meta.dirname, '..')
const FOLDER = join(ROOT, 'node_modules/.cache/types')
const VERSIONS = ['5.0.4', '5.4.5', '5.9.3', '6.0.3']

const USE = `
import { connect, createServer, SessionPool, type DiagnosticsMessages, type Session } from 'anytls'
import { encodeVarint } from 'anytls/codec'
import { muxProClient } from 'anytls/muxpro'
import { netMuxClient } from 'anytls/netmux'
import { createConnector, createTunnelOpener } from 'anytls/proxy'
import { Accounts } from 'anytls/serve'
import { parseScheme, simulate, WIRES, WORKLOADS } from 'anytls/shaping'

const session: Session = await connect({ host: 'localhost', port: 443, password: 'secret' })
const openTunnel = createTunnelOpener(session)
const scheme = parseScheme('stop=1\\n0=1-2')
const runs: number = simulate({ scheme, wire: WIRES.v1, workload: WORKLOADS.page, runs: 1 }).runs.length
export type Closed = DiagnosticsMessages['anytls:session:close']
export { runs, Accounts, SessionPool, createServer, encodeVarint, muxProClient, netMuxClient }
export const connector = createConnector(openTunnel)
// @ts-expect-error an option that is none
void connect({ host: 'localhost', port: 443, password: 'secret', passwort: '' })
`

await ensureBuilt({ types: true })
mkdirSync(FOLDER, { recursive: true })
writeFileSync(join(FOLDER, 'package.json'), '{ "private": true, "type": "module" }')
const compilers = VERSIONS.map((version) => [version, `typescript-${version}`])
if (!compilers.every(([, name]) => existsSync(join(FOLDER, 'node_modules', name)))) {
  const packages = compilers.map(([version, name]) => `${name}@npm:typescript@${version}`)
  const flags = ['--no-save', '--no-package-lock', '--ignore-scripts', '--no-audit', '--no-fund']
  const { status } = spawnSync('npm', ['install', '--prefix', FOLDER, ...flags, ...packages], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  if (status !== 0) process.exit(1)
}
for (const name of ['@types/node', 'undici-types']) {
  cpSync(join(ROOT, 'node_modules', name), join(FOLDER, 'node_modules', name), { recursive: true })
}
const ours = join(FOLDER, 'node_modules/anytls')
rmSync(ours, { recursive: true, force: true })
cpSync(join(ROOT, 'package.json'), join(ours, 'package.json'))
for (const file of readdirSync(join(ROOT, 'dist'), { recursive: true })) {
  if (file.endsWith('.d.ts')) cpSync(join(ROOT, 'dist', file), join(ours, 'dist', file))
}
writeFileSync(join(FOLDER, 'use.ts'), USE)

const FLAGS = ['--noEmit', '--strict', '--target', 'es2022', '--module', 'nodenext']
for (const [version, name] of compilers) {
  const compiler = join(FOLDER, 'node_modules', name, 'bin/tsc')
  const args = [compiler, ...FLAGS, '--types', 'node', 'use.ts']
  const { status, stdout } = spawnSync(process.execPath, args, { cwd: FOLDER, encoding: 'utf8' })
  // The types of Node speak of what an old compiler does not know; ours must not.
  const problems = stdout.split('\n').filter((line) => /^use\.ts|anytls\//.test(line))
  if (problems.length > 0 || status === null) process.exitCode = 1
  console.log(`TypeScript ${version}: ${problems.length === 0 ? 'fine' : problems.join('\n')}`)
}
