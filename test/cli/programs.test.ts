// The two programs as a user has them: what they print, keep, and how they end.

import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { parseShareLink } from '../../src/serve/share-link.ts'
import { parseHostPort } from '../../src/codec/host-port.ts'
import { readExactly } from '../proxy/support.ts'
import { runProgram, stop } from './run-program.ts'
import type { Program } from './run-program.ts'

const PASSWORD = 'correct horse'
const folder = mkdtempSync(join(tmpdir(), 'programs-'))
const running: Program[] = []
let echo: Server

beforeAll(async () => {
  // Programs that are killed reset their connections.
  echo = createServer((socket) => socket.on('error', () => {}).pipe(socket))
  echo.listen(0, '127.0.0.1')
  await once(echo, 'listening')
})
afterEach(async () => {
  await Promise.all(running.splice(0).map(stop))
})
afterAll(() => {
  echo.close()
  rmSync(folder, { recursive: true })
})

describe('programs', { timeout: 60_000 }, () => {
  it('Contract: both say where they listen, the link pins the certificate, and SIGTERM ends them with 0', async () => {
    const server = runServer('a')
    const { link } = await serverReady(server)
    expect(parseShareLink(link)).toMatchObject({ password: PASSWORD, insecure: false })
    expect(parseShareLink(link).pin).toMatch(/^[0-9a-f]{64}$/)
    expect(server.stderr()).toMatch(/^share link: .*\nlistening on 127\.0\.0\.1:\d+\n/)

    const client = runClient('a', ['-s', link])
    const tunnel = await openTunnel(client)
    tunnel.write('through')
    expect(String(await readExactly(tunnel, 7))).toBe('through')
    tunnel.destroy()

    for (const program of [client, server]) {
      program.child.kill('SIGTERM')
      expect(await program.ended).toEqual({ code: 0, signal: null })
    }
    expect(client.stderr()).not.toContain('correct')
    expect(server.stderr().match(/correct/g)).toHaveLength(1)
    expect(client.stdout() + server.stdout()).toBe('')
  })

  it('Contract: with --log-format json every line is an object and the port is named in one', async () => {
    const server = runServer('a', ['--log-format', 'json', '--log-level', 'debug'])
    const { link } = await serverReady(server)
    const client = runClient('a', ['-s', link, '--log-format', 'json', '--log-level', 'debug'])
    const tunnel = await openTunnel(client)
    tunnel.destroy()
    for (const program of [client, server]) {
      program.child.kill('SIGINT')
      expect(await program.ended).toEqual({ code: 0, signal: null })
      const lines = program.stderr().trimEnd().split('\n')
      for (const line of lines) {
        expect(JSON.parse(line)).toMatchObject({
          level: expect.any(String) as unknown,
          time: expect.any(String) as unknown,
          msg: expect.any(String) as unknown,
        })
      }
      expect(lines.length).toBeGreaterThan(2)
      expect(program.stderr()).toContain('listening on 127.0.0.1:')
    }
  })

  it('Contract: --no-link and a level above info keep the link to themselves; the port is still named', async () => {
    for (const flags of [['--no-link'], ['--log-level', 'silent']]) {
      const server = runServer('a', flags)
      await server.said(/listening on/)
      server.child.kill('SIGTERM')
      await server.ended
      expect(server.stderr()).not.toContain('correct')
    }
  })

  it('Contract: the certificate is kept, so a link holds after a restart; another folder has another', async () => {
    const pins = []
    for (const state of ['a', 'a', 'b']) {
      const server = runServer(state)
      pins.push(parseShareLink((await serverReady(server)).link).pin)
      server.child.kill('SIGTERM')
      await server.ended
    }
    expect(pins[1]).toBe(pins[0])
    expect(pins[2]).not.toBe(pins[0])
  })

  it.for([
    ['client', 'SIGINT', 130],
    ['server', 'SIGTERM', 143],
  ] as const)(
    'Contract: a second signal ends the %s at once, with the code of a shell',
    async ([which, signal, code]) => {
      const server = runServer('a')
      const client = runClient('a', ['-s', (await serverReady(server)).link])
      await openTunnel(client)
      const program = { server, client }[which]
      program.child.kill(signal)
      await program.said(new RegExp(`${signal}: stopping`))
      program.child.kill(signal)
      expect(await program.ended).toEqual({ code, signal: null })
    },
  )

  it('Contract: a tunnel that does not end holds up the end for 5 s and no longer', async () => {
    const server = runServer('a')
    const { link } = await serverReady(server)
    const client = runClient('a', ['-s', link])
    const tunnel = await openTunnel(client)
    client.child.kill('SIGTERM')
    const begin = performance.now()
    await client.said(/SIGTERM: stopping/)
    tunnel.write('still there')
    expect(String(await readExactly(tunnel, 11))).toBe('still there')
    expect(await client.ended).toEqual({ code: 0, signal: null })
    expect(performance.now() - begin).toBeGreaterThan(4_500)
    expect(performance.now() - begin).toBeLessThan(12_000)
  })

  it("D23: the server's padding scheme is in the state folder and counts after a restart of the client", async () => {
    const scheme = join(folder, 'scheme.txt')
    writeFileSync(scheme, 'stop=2\n0=40-40\n1=200-300\n')
    const server = runServer('a', ['--padding-scheme', scheme])
    const { link, address } = await serverReady(server)
    for (const updates of [1, 0]) {
      const client = runClient('client-of-a', ['-s', link])
      const tunnel = await openTunnel(client)
      tunnel.end()
      client.child.kill('SIGTERM')
      await client.ended
      const told = client.stderr().match(/the server sent a padding scheme/g) ?? []
      expect(told).toHaveLength(updates)
    }
    const file = readFileSync(join(folder, 'client-of-a', 'schemes.json'), 'utf8')
    expect(JSON.parse(file)).toEqual({
      version: 1,
      servers: { [address]: 'stop=2\n0=40-40\n1=200-300' },
    })
  })

  it('Contract: --password-file, ANYTLS_PASSWORD and proxy authentication work', async () => {
    const password = join(folder, 'password')
    writeFileSync(password, `${PASSWORD}\n`)
    const server = runServer('a', ['--password-file', password], {})
    const { link, address } = await serverReady(server)
    const pin = parseShareLink(link).pin ?? ''
    const client = runClient('a', ['-s', address, '--pin', pin], {
      ANYTLS_PASSWORD: PASSWORD,
      ANYTLS_PROXY_AUTH: 'me:open sesame',
    })
    await expect(openTunnel(client)).rejects.toThrow('407')
    const tunnel = await openTunnel(client, 'me:open sesame')
    tunnel.destroy()
  })

  it('Contract: --version names the version and every command has its --help', async () => {
    const { version } = JSON.parse(
      readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8'),
    ) as { version: string }
    for (const [args, says] of [
      [['--version'], version],
      [['--help'], 'client'],
      [['server', '--help'], '--fallback-proxy-protocol'],
      [['client', '--help'], '--min-idle'],
      [['client', '--help'], '--reply-wait <ms|exact>'],
    ] as const) {
      const program = track(runProgram(args))
      expect(await program.ended).toEqual({ code: 0, signal: null })
      expect(program.stdout()).toContain(says)
      expect(program.stderr()).toBe('')
    }
  })

  it('npm start: the demo fetches a page through both programs, shows the link, and leaves nothing behind', async () => {
    const demo = join(import.meta.dirname, '../../dist/cli/demo.js')
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [demo, '--once'], {
      env: { ...process.env, TMPDIR: folder },
    })
    expect(stdout).toMatch(/share link +anytls:\/\/\S+@127\.0\.0\.1:\d+\/\?hpkp=[0-9a-f]{64}/)
    expect(stdout).toMatch(/fetched +http:/)
    expect(stdout).toMatch(/curl --socks5-hostname 127\.0\.0\.1:\d+ /)
    expect(stdout).toContain('█')
    expect(stderr).toMatch(/server \| .*SIGTERM: stopping/)
    expect(stderr).toMatch(/client \| .*SIGTERM: stopping/)
    expect(readdirSync(folder).filter((name) => name.startsWith('demo-'))).toEqual([])
  })
})

function track(program: Program): Program {
  running.push(program)
  return program
}

function runServer(
  state: string,
  flags: readonly string[] = [],
  env: NodeJS.ProcessEnv = { ANYTLS_PASSWORD: PASSWORD },
): Program {
  const args = ['server', '-l', '127.0.0.1:0', '--state-dir', join(folder, state), ...flags]
  return track(runProgram(args, env))
}

function runClient(state: string, flags: readonly string[], env: NodeJS.ProcessEnv = {}): Program {
  const args = ['client', '-l', '127.0.0.1:0', '--state-dir', join(folder, state), ...flags]
  return track(runProgram(args, env))
}

async function serverReady(server: Program): Promise<{ address: string; link: string }> {
  const [, address = ''] = await server.said(/listening on ([\d.:]+)/)
  const [, link = ''] = await server.said(/share link: (anytls:[^\s"]+)/)
  return { address, link }
}

/** A CONNECT through the client to the echo server. */
async function openTunnel(client: Program, auth?: string): Promise<Socket> {
  const [, listening = ''] = await client.said(/listening on ([\d.:]+)/)
  const { port } = echo.address() as AddressInfo
  const headers = auth && { 'proxy-authorization': `Basic ${Buffer.from(auth).toString('base64')}` }
  const connect = request({
    ...parseHostPort(listening),
    method: 'CONNECT',
    path: `127.0.0.1:${port}`,
    ...(headers && { headers }),
  }).end()
  const [response, socket] = (await once(connect, 'connect')) as [{ statusCode: number }, Socket]
  socket.on('error', () => {})
  if (response.statusCode === 200) return socket
  socket.destroy()
  throw new Error(`CONNECT was answered with ${response.statusCode}`)
}
