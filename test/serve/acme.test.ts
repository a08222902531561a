// A certificate from Pebble, the authority that Let's Encrypt makes for tests: by TLS and by HTTP, kept, renewed,
// and an authority that refuses or is away.
import type { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { connect } from 'node:tls'
import { beforeAll, describe, expect, it } from 'vitest'
import { runProgram, stop } from '../cli/run-program.ts'
import type { Program } from '../cli/run-program.ts'
import { dnsmasqProgram, startDnsmasq } from '../e2e/dnsmasq.ts'
import { folder, PASSWORD, until, whenDone } from '../e2e/support.ts'
import { requireGoBuild } from '../interop/support/go-build.ts'
import { closedPort } from '../proxy/support.ts'
import { startDaemon } from '../support/daemon.ts'
import type { Daemon } from '../support/daemon.ts'
import { makeTestCertificate } from '../support/certificate.ts'
import { AcmeKeeper } from '../../src/serve/acme.ts'
import type { ServerCertificate } from '../../src/serve/certificate.ts'

const NAME = 'example.test'
const CA = join(folder, 'ca.pem')

const pebble = await requireGoBuild(
  join(import.meta.dirname, 'pebble'),
  'github.com/letsencrypt/pebble/v2/cmd/pebble',
)

/** Where Pebble looks for answers, and where it is. */
interface Authority {
  readonly daemon: Daemon
  readonly directory: string
  readonly httpPort: number
  readonly tlsPort: number
}

let dns: number

/** @param life of its certificates, in seconds */
async function startAuthority(life: number): Promise<Authority> {
  const [api, management, httpPort, tlsPort] = await Promise.all(
    Array.from({ length: 4 }, () => closedPort()),
  )
  const { key, cert } = await makeTestCertificate()
  writeFileSync(CA, cert)
  writeFileSync(join(folder, 'ca.key'), key)
  const config = join(folder, `pebble-${api}.json`)
  const settings = {
    listenAddress: `127.0.0.1:${api}`,
    managementListenAddress: `127.0.0.1:${management}`,
    certificate: CA,
    privateKey: join(folder, 'ca.key'),
    httpPort,
    tlsPort,
    retryAfter: { authz: 1, order: 1 },
    keyAlgorithm: 'ecdsa',
    profiles: { default: { description: 'default', validityPeriod: life } },
  }
  writeFileSync(config, JSON.stringify({ pebble: settings }))
  const args = ['-config', config, '-dnsserver', `127.0.0.1:${dns}`]
  const env = { ...process.env, PEBBLE_VA_NOSLEEP: '1', PEBBLE_WFE_NONCEREJECT: '0' }
  const daemon = await startDaemon(pebble, args, [api!], env)
  whenDone(() => daemon.stop())
  const directory = `https://127.0.0.1:${api}/dir`
  return { daemon, directory, httpPort: httpPort!, tlsPort: tlsPort! }
}

function startServer(port: number, state: string, flags: readonly string[]): Program {
  const listen = ['-l', `127.0.0.1:${port}`, '--state-dir', join(folder, state)]
  const program = runProgram(['server', ...listen, '--acme', NAME, ...flags], {
    ANYTLS_PASSWORD: PASSWORD,
    NODE_EXTRA_CA_CERTS: CA,
  })
  whenDone(() => stop(program))
  return program
}

async function served(port: number): Promise<X509Certificate> {
  const socket = connect({
    ...{ port, host: '127.0.0.1', servername: NAME, rejectUnauthorized: false },
  })
  await once(socket, 'secureConnect')
  const certificate = socket.getPeerX509Certificate()
  socket.end('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
  expect(await text(socket)).toMatch(/^HTTP\/1\.1 200/)
  return certificate!
}

const missing = [pebble, dnsmasqProgram].find(({ isMissing }) => isMissing)
const note = missing?.note ?? ''

describe.skipIf(missing !== undefined)(`with Pebble${note}`, { timeout: 60_000 }, () => {
  beforeAll(async () => {
    dns = await startDnsmasq({ [NAME]: ['127.0.0.1'] })
  })

  it('ACME: by TLS on its own port; the kept one serves until then, the new one at once, and after a restart', async () => {
    const { directory, tlsPort } = await startAuthority(3_600)
    const flags = ['--acme-directory', directory, '--acme-email', 'us@example.test']
    const server = startServer(tlsPort, 'tls', flags)
    await server.said(/listening on/)
    const [, link] = await server.said(/share link: (\S+)/)
    expect(link).toMatch(new RegExp(`@${NAME}:${tlsPort}`))
    expect(link).not.toContain('hpkp')
    await server.said(/certificate: obtained/)
    const certificate = await served(tlsPort)
    expect(certificate.checkHost(NAME)).toBe(NAME)
    expect(certificate.issuer).toMatch(/Pebble/)

    const acme = join(folder, 'tls', 'acme')
    const [authority = ''] = readdirSync(acme)
    for (const file of ['account.json', `${NAME}.pem`]) {
      expect(statSync(join(acme, authority, file)).mode & 0o777).toBe(0o600)
    }
    await stop(server)

    const again = startServer(tlsPort, 'tls', flags)
    await again.said(/listening on/)
    expect((await served(tlsPort)).fingerprint256).toBe(certificate.fingerprint256)
  })

  it('ACME: by HTTP where a port is given, which sends everybody else to HTTPS; renewed before its end', async () => {
    const { directory, httpPort } = await startAuthority(15)
    const port = await closedPort()
    const http = ['--acme-http', `127.0.0.1:${httpPort}`]
    const server = startServer(port, 'http', ['--acme-directory', directory, ...http])
    await server.said(/certificate: obtained/)
    const first = await served(port)
    const answer = await fetch(`http://127.0.0.1:${httpPort}/a?b`, { redirect: 'manual' })
    expect(answer.status).toBe(301)
    expect(answer.headers.get('location')).toBe('https://127.0.0.1/a?b')
    const other = await fetch(`http://127.0.0.1:${httpPort}/.well-known/acme-challenge/x`, {
      redirect: 'manual',
    })
    expect(other.status).toBe(301)

    await server.said(/certificate: obtained[^]*certificate: obtained/)
    const second = await served(port)
    expect(second.serialNumber).not.toBe(first.serialNumber)
    expect(Date.parse(second.validTo)).toBeGreaterThan(Date.parse(first.validTo))
  })

  it('ACME: who cannot be shown is told why, tries again later, and serves on', async () => {
    const { directory } = await startAuthority(3_600)
    const port = await closedPort()
    const server = startServer(port, 'refused', ['--acme-directory', directory])
    await server.said(/certificate: not obtained, next try in 1[0-9]{2} s/)
    expect((await served(port)).issuer).toContain('localhost')
    expect(existsSync(join(folder, 'refused', 'server.pem'))).toBe(true)
  })
})

describe('an authority that is away', () => {
  it('ACME: is asked again after waits that double, until it is stopped', async () => {
    const waits: number[] = []
    const keeper = new AcmeKeeper({
      names: [NAME],
      directory: `https://127.0.0.1:${await closedPort()}/dir`,
      folder: join(folder, 'away'),
      way: { type: 'http-01', answer: () => Promise.reject(new Error('never')), remove() {} },
      observer: {
        obtained: (certificate: ServerCertificate) => expect(certificate).toBeUndefined(),
        failed: (_error, wait) => waits.push(wait),
      },
      firstWait: 10,
    })
    expect(keeper.kept).toBeUndefined()
    keeper.start()
    await until(() => waits.length >= 2, 'the second failure', 80_000)
    keeper.stop()
    expect(waits[0]).toBeGreaterThanOrEqual(9)
    expect(waits[1]).toBeGreaterThanOrEqual(18)
  }, 90_000)
})
