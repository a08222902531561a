// `npm start`: a web site, a server and a client on loopback, and a page fetched through both.
// Must never leave a process or a file behind.

import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { on } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { extname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { renderUnicodeCompact } from 'uqr'
import { formatHostPort, parseHostPort } from '../codec/host-port.ts'
import type { Address } from '../codec/address.ts'
import { fetchThroughSocks } from './demo-fetch.ts'
import { endingFor } from './failure.ts'
import { listen, stopSignal } from './lifecycle.ts'
import { PASSWORD_VARIABLE } from './password.ts'
import { escapeControls } from './printable.ts'
import { parseShareLink } from '../serve/share-link.ts'

const HOST = '127.0.0.1'
const SERVER_PORT = 8443
const CLIENT_PORT = 1080
/** How long the programs may take to start and the page to come, in ms. */
const PATIENCE = 30_000
/** How often to look whether the parent is still there, in ms. */
const PARENT_CHECK = 500

/** The program, as source or as built, whichever this is. */
const MAIN = fileURLToPath(new URL(`./main${extname(import.meta.url)}`, import.meta.url))
const PASSWORD = randomBytes(12).toString('base64url')
const stateDir = mkdtempSync(join(tmpdir(), 'demo-'))
const children: ChildProcess[] = []
/** Resolve as the children end. */
const exits: Promise<unknown>[] = []

process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL')
  rmSync(stateDir, { recursive: true, force: true })
})

try {
  const stopped = Promise.race([stopSignal(), parentGone()])
  await Promise.race([stopped, demonstrate()])
  if (!process.argv.includes('--once')) await Promise.race([stopped, unexpectedExit()])
  await endPrograms()
  process.exit(0)
} catch (error) {
  const { exitCode, line = '' } = endingFor(error)
  process.stderr.write(`${escapeControls(line)}\n`)
  process.exit(exitCode)
}

async function demonstrate(): Promise<void> {
  const patience = AbortSignal.timeout(PATIENCE)
  const page = `This page came through the tunnel: ${randomBytes(8).toString('hex')}\n`
  const web = process
    .getBuiltinModule('node:http')
    .createServer((_request, response) => response.end(page))
  const site = await listen(web, { host: HOST, port: 0 })

  const server = await start('server', ['-l', await freeAddress(SERVER_PORT)], patience)
  const link = /share link: (anytls:\S+)/.exec(server.said)?.[1]
  if (link === undefined) throw new Error('the server printed no share link')
  // Not the link itself: what it says would show in the process list.
  const client = await start(
    'client',
    [
      ...['-l', await freeAddress(CLIENT_PORT), '-s', formatHostPort(server.address)],
      ...['--pin', parseShareLink(link).pin ?? ''],
    ],
    patience,
  )

  if ((await fetchThroughSocks(client.address, site, patience)) !== page) {
    throw new Error('what came through the tunnel is not the page that was sent')
  }
  const proxy = formatHostPort(client.address)
  process.stdout.write(`
${renderUnicodeCompact(link)}
share link   ${link}
fetched      http://${formatHostPort(site)}/ through ${proxy}, ${page.length} bytes, as they were sent
try          curl --socks5-hostname ${proxy} http://${formatHostPort(site)}/
             curl -x http://${proxy} https://example.com/
others see   https://${formatHostPort(server.address)}/ (open it in a browser and accept the certificate)
`)
}

/** Starts a command of the program; resolves with what it said once it listens. */
async function start(
  command: 'server' | 'client',
  args: readonly string[],
  signal: AbortSignal,
): Promise<{ address: Address; said: string }> {
  const child = spawn(
    process.execPath,
    [...process.execArgv, MAIN, command, ...args, '--state-dir', stateDir],
    {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, [PASSWORD_VARIABLE]: PASSWORD },
    },
  )
  children.push(child)
  exits.push(new Promise((resolve) => child.once('exit', resolve)))
  const lines = createInterface({ input: child.stderr })
  lines.on('line', (line) => process.stderr.write(`${command} | ${line}\n`))
  let said = ''
  for await (const [line] of on(lines, 'line', { signal, close: ['close'] })) {
    said += `${String(line)}\n`
    const address = /listening on (\S+)/.exec(said)?.[1]
    if (address !== undefined) return { address: parseHostPort(address), said }
  }
  throw new Error(`the ${command} ended before it was ready`)
}

/** The preferred port of the loopback address when it is free, else one that the system chooses. */
async function freeAddress(port: number): Promise<string> {
  const probe = createServer()
  try {
    await listen(probe, { host: HOST, port })
    return formatHostPort({ host: HOST, port })
  } catch {
    return formatHostPort({ host: HOST, port: 0 })
  } finally {
    probe.close()
  }
}

/** npm takes a SIGTERM for itself and for its shell, and does not tell the shell's child. */
function parentGone(): Promise<void> {
  const parent = process.ppid
  return new Promise((resolve) => {
    setInterval(() => {
      if (process.ppid !== parent) resolve()
    }, PARENT_CHECK).unref()
  })
}

async function unexpectedExit(): Promise<never> {
  await Promise.race(exits)
  throw new Error('one of the programs ended by itself')
}

async function endPrograms(): Promise<void> {
  for (const child of children) child.kill('SIGTERM')
  await Promise.all(exits)
}
