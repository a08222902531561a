// A server that is told of a new certificate, password and scheme while it serves; what runs is not touched.
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Socket } from 'node:net'
import { connect } from 'node:tls'
import { beforeAll, describe, expect, it } from 'vitest'
import { readExactly } from '../proxy/support.ts'
import { makeTestCertificate } from '../support/certificate.ts'
import type { TestCertificate } from '../support/certificate.ts'
import { openTunnel, startTcpOrigin } from '../interop/support/traffic.ts'
import { folder, PASSWORD, run, startClient, until } from './support.ts'
import type { ClientProgram } from './support.ts'
import type { Program } from '../cli/run-program.ts'

const CERT = join(folder, 'cert.pem')
const KEY = join(folder, 'key.pem')
const PASSWORD_FILE = join(folder, 'password')

let certificates: TestCertificate[]
let server: Program
let port: number
let client: ClientProgram

/** The certificate that is served now. */
async function served(): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false })
  await once(socket, 'secureConnect')
  const { fingerprint256 = '' } = socket.getPeerX509Certificate() ?? {}
  socket.destroy()
  return fingerprint256
}

const fingerprint = ({ cert }: TestCertificate) => new X509Certificate(cert).fingerprint256

async function echoThrough(tunnel: Socket, text: string): Promise<string> {
  tunnel.write(text)
  return String(await readExactly(tunnel, text.length))
}

function link(password: string): string {
  return `anytls://${encodeURIComponent(password)}@127.0.0.1:${port}/?insecure=1`
}

beforeAll(async () => {
  certificates = [await makeTestCertificate(), await makeTestCertificate()]
  writeFileSync(CERT, certificates[0]!.cert)
  writeFileSync(KEY, certificates[0]!.key)
  writeFileSync(PASSWORD_FILE, PASSWORD)
  server = run([
    ...['server', '-l', '127.0.0.1:0', '--cert', CERT, '--key', KEY],
    ...['--password-file', PASSWORD_FILE, '--log-level', 'info'],
  ])
  port = Number((await server.said(/listening on 127\.0\.0\.1:(\d+)/))[1])
  client = await startClient(link(PASSWORD), ['--insecure'])
})

describe('reading anew while the server serves', { timeout: 30_000 }, () => {
  it('Contract: a certificate whose key comes later is served within 3 s, and tunnels go on', async () => {
    const echo = await startTcpOrigin((socket) => socket.pipe(socket))
    const tunnel = await openTunnel(client, echo.port)
    const [old, fresh] = certificates as [TestCertificate, TestCertificate]
    expect(await served()).toBe(fingerprint(old))

    writeFileSync(CERT, fresh.cert)
    await sleep(1_200)
    expect(await served()).toBe(fingerprint(old))
    writeFileSync(`${KEY}.new`, fresh.key)
    renameSync(`${KEY}.new`, KEY)
    await sleep(3_000)
    expect(await served()).toBe(fingerprint(fresh))
    expect(server.stderr()).not.toContain('not usable')
    expect(await echoThrough(tunnel, 'still here')).toBe('still here')

    writeFileSync(CERT, 'rubbish')
    await server.said(/certificate: not usable, the old one stays.*cert\.pem/)
    expect(await served()).toBe(fingerprint(fresh))
    writeFileSync(CERT, fresh.cert)
    tunnel.destroy()
  })

  it('Contract: SIGHUP reads the password anew: sessions of the old one end, the new one works', async () => {
    const echo = await startTcpOrigin((socket) => socket.pipe(socket))
    const tunnel = await openTunnel(client, echo.port)
    server.child.kill('SIGHUP')
    await server.said(/password and padding schemes: read anew/)
    expect(await echoThrough(tunnel, 'the same password')).toBe('the same password')

    writeFileSync(PASSWORD_FILE, 'two\nlines')
    server.child.kill('SIGHUP')
    await server.said(/password and padding schemes: not usable.*more than one line/)
    expect(await echoThrough(tunnel, 'a bad file')).toBe('a bad file')

    tunnel.on('error', () => {})
    writeFileSync(PASSWORD_FILE, 'new')
    server.child.kill('SIGHUP')
    await until(() => tunnel.closed || tunnel.readableEnded, 'the end of the old session', 2_000)
    const other = await startClient(link('new'), ['--insecure'], { state: 'other' })
    const through = await openTunnel(other, echo.port)
    expect(await echoThrough(through, 'new')).toBe('new')
    through.destroy()
  })
})
