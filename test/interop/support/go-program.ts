// The client and the server in test/interop/go, as the tests start them and look into them.

import { spawn } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PASSWORD, folder, whenDone } from '../../e2e/support.ts'
import { stop, watch } from '../../cli/run-program.ts'
import type { Program } from '../../cli/run-program.ts'
import { sha256 } from '../../proxy/support.ts'
import { makeTestCertificate } from '../../support/certificate.ts'
import { goProgram } from './go-build.ts'

/** Runs the Go program until the file is done. */
function runGo(args: readonly string[]): Program {
  const program = watch(spawn(goProgram.path, args, { stdio: ['ignore', 'pipe', 'pipe'] }))
  whenDone(() => stop(program))
  return program
}

/** What the programs of a test file prove themselves with. */
export interface CertificateFiles {
  readonly key: string
  readonly cert: string
  /** SHA-256 of the certificate, for `hpkp` in a share link. */
  readonly pin: string
}

let certificate: Promise<CertificateFiles> | undefined

/** One certificate for all servers of a test file. */
export function certificateFiles(): Promise<CertificateFiles> {
  return (certificate ??= (async () => {
    const { key, cert } = await makeTestCertificate()
    const files = { key: join(folder, 'interop.key'), cert: join(folder, 'interop.pem') }
    writeFileSync(files.key, key)
    writeFileSync(files.cert, cert)
    return { ...files, pin: sha256(new X509Certificate(cert).raw) }
  })())
}

export interface GoServer {
  readonly program: Program
  readonly port: number
  /** With the right password and the pin. */
  readonly link: string
}

/** The Go server on a free port, or on `port`, with its built-in scheme or the text of another. */
export async function startGoServer({
  port = 0,
  scheme,
}: { port?: number; scheme?: string } = {}): Promise<GoServer> {
  const { key, cert, pin } = await certificateFiles()
  const flags = ['-listen', `127.0.0.1:${port}`, '-key', key, '-cert', cert, '-password', PASSWORD]
  if (scheme !== undefined) {
    const file = join(folder, `${sha256(Buffer.from(scheme)).slice(0, 16)}.scheme`)
    writeFileSync(file, scheme)
    flags.push('-scheme', file)
  }
  const program = runGo(['server', '-trace', ...flags])
  const [, bound = ''] = await program.said(/listening on 127\.0\.0\.1:(\d+)/)
  return { program, port: Number(bound), link: linkTo(Number(bound), pin) }
}

/** A share link for a server with the certificate of this file. */
export function linkTo(port: number, pin: string, password = PASSWORD): string {
  return `anytls://${encodeURIComponent(password)}@127.0.0.1:${port}/?hpkp=${pin}`
}

export interface GoClient {
  readonly program: Program
  /** `127.0.0.1:PORT` of the local SOCKS5 and HTTP proxy. */
  readonly proxy: string
  readonly port: number
  /** How many TLS connections to the server have stood so far. */
  connections(): number
}

export interface GoClientOptions {
  readonly password?: string
  /** How it carries packets: UDP over TCP of version 1, of 2 for any destination, or of 2 for one. */
  readonly udp?: 'v1' | 'v2' | 'v2-connect'
  /** Whether it offers TLS 1.2 alone. */
  readonly tls12?: boolean
}

/** The Go client on a free port, for a server with the certificate of this file. */
export async function startGoClient(
  server: number,
  { password = PASSWORD, udp = 'v2', tls12 = false }: GoClientOptions = {},
): Promise<GoClient> {
  const { cert } = await certificateFiles()
  const flags = ['-server', `127.0.0.1:${server}`, '-ca', cert, '-password', password, '-udp', udp]
  const program = runGo(['client', '-trace', ...flags, ...(tls12 ? ['-tls12'] : [])])
  const [, proxy = '', port = ''] = await program.said(/listening on (127\.0\.0\.1:(\d+))/)
  const connections = () => program.stderr().match(/connected to the server/g)?.length ?? 0
  return { program, proxy, port: Number(port), connections }
}

/** An echo that for four seconds lets nobody connect; resolves with its port. */
export async function startSlowEcho(): Promise<number> {
  const program = runGo(['slow', '-delay', '4s'])
  const [, port] = await program.said(/listening on 127\.0\.0\.1:(\d+)/)
  return Number(port)
}

/** Commands of the original wire that tests ask for. */
export const Command = {
  Syn: 1,
  Fin: 3,
  Settings: 4,
  Alert: 5,
  UpdateScheme: 6,
  SynAck: 7,
  HeartbeatRequest: 8,
  ServerSettings: 10,
} as const

/** A frame that the Go program has sent (`out`) or got (`in`). Data and padding are not among them. */
export interface TracedFrame {
  /** Counted from 1 in the order in which they were made. */
  readonly connection: number
  readonly direction: 'in' | 'out'
  readonly command: number
  readonly stream: number
  readonly data: string
}

/** All frames that went over the connections of a Go program so far. */
export function tracedFrames(program: Program): TracedFrame[] {
  return [...program.stderr().matchAll(/^trace: (.*)\n/gm)].map(
    ([, line = '']) => JSON.parse(line) as TracedFrame,
  )
}
