// What an operator does on one evening, while somebody else's download runs on: people added, told, watched, held to a
// quota, thrown out, and the certificate renewed.
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import { expect, it, onTestFinished } from 'vitest'
import { parseShareLink } from '../../src/serve/share-link.ts'
import { connect } from '../../src/tls/dial.ts'
import { runProgram } from '../cli/run-program.ts'
import { curl } from '../proxy/support.ts'
import { makeTestCertificate } from '../support/certificate.ts'
import { folder, run, serve, startClient } from './support.ts'

interface Told {
  readonly name: string
  readonly up: number
  readonly down: number
  readonly quota: number | null
  readonly state: string
}

it('Issue 12, it ends with: three people come, one has a quota, one is thrown out, the certificate is renewed, and a download runs on', async () => {
  const state = mkdtempSync(join(folder, 'operator-'))
  onTestFinished(() => rmSync(state, { recursive: true, force: true }))
  const [cert, key] = [join(state, 'cert.pem'), join(state, 'key.pem')]
  const certificates = [await makeTestCertificate(), await makeTestCertificate()] as const
  const install = (index: 0 | 1) => {
    writeFileSync(cert, certificates[index].cert)
    writeFileSync(key, certificates[index].key)
  }
  install(0)
  const place = ['--users', join(state, 'users.json')]
  const server = run([
    ...['server', '-l', '127.0.0.1:0', '--cert', cert, '--key', key, '--admin', '127.0.0.1:0'],
    ...['--state-dir', state, ...place],
  ])
  const port = Number((await server.said(/^listening on 127\.0\.0\.1:(\d+)/m))[1])
  const [, admin = ''] = /^admin on (\S+)$/m.exec(server.stderr()) ?? []

  // A download of as long as all of this takes: the origin goes on until it is told to end.
  const digests = { sent: createHash('sha256'), got: createHash('sha256') }
  let isOver = false
  const origin = await serve(
    createServer((request, response) => {
      if (request.url !== '/download') {
        response.end('x'.repeat(50_000))
        return
      }
      void (async () => {
        while (!isOver) {
          const chunk = randomBytes(16_384)
          digests.sent.update(chunk)
          if (!response.write(chunk)) await once(response, 'drain')
          await sleep(20)
        }
        response.end()
      })()
    }),
  )
  const url = (path: string) => `http://127.0.0.1:${origin.port}${path}`

  const anytls = async (...args: readonly string[]) => {
    const program = runProgram(['user', ...args, ...place])
    expect((await program.ended).code).toBe(0)
    return program
  }
  const api = async (method: string, path: string, body?: object) => {
    const response = await fetch(`http://${admin}/api/v1/${path}`, {
      method,
      ...(body && {
        body: JSON.stringify(body),
        headers: { 'content-type': 'application/json' },
      }),
    })
    expect(response.ok).toBe(true)
    return (await response.json()) as Record<string, unknown>
  }
  const told = async (name: string) => (await api('GET', `users/${name}`)) as unknown as Told
  const isServed = async (index: 0 | 1): Promise<boolean> => {
    const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false })
    await once(socket, 'secureConnect')
    const now = String(socket.getPeerX509Certificate())
    socket.destroy()
    return now.replaceAll(/\s/g, '') === certificates[index].cert.replaceAll(/\s/g, '')
  }

  const somebody = (await anytls('add', 'somebody', '--allow-private')).stdout().trim()
  await sleep(1_000)
  const client = await startClient(somebody, [], { state: 'somebody' })
  const download = curl(...['-sS', '-m', '60', '--socks5-hostname', client.proxy, url('/download')])

  // Two from the command line, one by the API that the page uses; a code for each.
  await anytls('add', 'anna', '--allow-private')
  await anytls('add', 'bert', '--allow-private')
  await api('POST', 'users', { name: 'carla', allowPrivate: true })
  for (const name of ['anna', 'bert', 'carla']) {
    const shown = await anytls('link', name, '--qr')
    expect(shown.stdout()).toMatch(/^anytls:\/\//)
    expect(shown.stderr()).toMatch(/[█▀▄]{3}/)
  }

  // Who uses what.
  const anna = await startClient((await anytls('link', 'anna')).stdout().trim(), [], {
    state: 'anna',
  })
  expect((await curl('-sS', '--socks5-hostname', anna.proxy, url('/'))).code).toBe(0)
  await expect
    .poll(async () => (await told('anna')).down, { timeout: 10_000 })
    .toBeGreaterThan(50_000)
  expect((await told('bert')).down).toBe(0)
  const { days } = (await api('GET', 'usage?user=anna')) as { days: { down: number }[] }
  expect(days.at(-1)?.down).toBeGreaterThan(50_000)

  // A quota that anna has used up already, and bert not.
  await anytls('set', 'bert', '--quota', '100GB/month')
  await expect.poll(() => told('bert')).toMatchObject({ quota: 1e11, state: 'active' })
  await anytls('set', 'anna', '--quota', '50KB/month')
  await expect.poll(async () => (await told('anna')).state, { timeout: 5_000 }).toBe('used up')
  const annaFetches = async () =>
    (await curl('-sS', '--socks5-hostname', anna.proxy, url('/'))).code === 0
  await expect.poll(annaFetches, { timeout: 10_000 }).toBe(false)

  // Thrown out.
  const { password = '', pin = '' } = parseShareLink(
    (await anytls('link', 'carla')).stdout().trim(),
  )
  const carla = await connect({ host: '127.0.0.1', port, password, pin })
  const closed = once(carla, 'close')
  await anytls('remove', 'carla')
  const removed = performance.now()
  await closed
  expect(performance.now() - removed).toBeLessThan(2_000)

  // Another certificate.
  expect(await isServed(0)).toBe(true)
  install(1)
  await expect.poll(() => isServed(1), { timeout: 5_000 }).toBe(true)

  isOver = true
  const { code, stdout } = await download
  digests.got.update(stdout)
  expect(code).toBe(0)
  expect(digests.got.digest('hex')).toBe(digests.sent.digest('hex'))
  expect(client.connections()).toBe(1)
}, 60_000)
