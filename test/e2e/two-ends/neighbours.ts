// Our server beside an nginx with TLS of its own, in pairs that have the same behind them: a site, nobody, or somebody slow.

import { spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { closedPort } from '../../proxy/support.ts'
import { makeTestCertificate } from '../../support/certificate.ts'
import { isOpen } from '../../support/daemon.ts'
import { startDeafEndpoint } from '../../support/deaf-endpoint.ts'
import { nginxProgram } from '../nginx.ts'
import { folder, run, serve, whenDone } from '../support.ts'

/** Two ports that a prober is to tell apart. */
interface Pair {
  readonly nginx: number
  readonly ours: number
}

export interface Neighbours {
  /** The same site: nginx itself, and ours in front of it. */
  readonly site: Pair
  /** In front of a server that is not there. */
  readonly dead: Pair
  /** In front of a server that takes {@link SLOW} for an answer. */
  readonly slow: Pair
  /** In front of a server that lets nobody connect, and refuses nobody. */
  readonly deaf: Pair
}

/** In ms. */
export const SLOW = 1_200

export async function startNeighbours(): Promise<Neighbours> {
  const { key, cert } = await makeTestCertificate()
  const files = { key: join(folder, 'key.pem'), cert: join(folder, 'cert.pem') }
  writeFileSync(files.key, key)
  writeFileSync(files.cert, cert)
  const slow = await serve(
    http.createServer((_request, response) => {
      void setTimeout(SLOW).then(() => response.end('late'))
    }),
  )
  const nobody = await closedPort()
  const deaf = await startDeafEndpoint()
  whenDone(() => deaf.stop())
  const behind = {
    site: '',
    dead: proxyTo(nobody),
    slow: proxyTo(slow.port),
    deaf: proxyTo(deaf.port),
  }
  const pairs = Object.entries(behind).map(async ([name, config]) => {
    const [nginx, plain, h2] = [await closedPort(), await closedPort(), await closedPort()]
    const server = `server {
      listen 127.0.0.1:${nginx} ssl http2; listen 127.0.0.1:${plain}; listen 127.0.0.1:${h2} http2;
      ${config} }`
    const instead = { dead: nobody, deaf: deaf.port }[name]
    const fallbacks = instead === undefined ? [plain, h2] : [instead, instead]
    return { name, nginx, server, fallbacks }
  })
  const all = await Promise.all(pairs)
  startNginx(files, all.map(({ server }) => server).join('\n'))
  const found = await Promise.all(
    all.map(async ({ name, nginx, fallbacks: [plain, h2] }) => {
      const program = run([
        ...['server', '-l', '127.0.0.1:0', '--cert', files.cert, '--key', files.key],
        ...['--fallback', `http://127.0.0.1:${plain}`, '--fallback-h2', `http://127.0.0.1:${h2}`],
        ...['--state-dir', join(folder, name)],
      ])
      const [, ours] = await program.said(/listening on 127\.0\.0\.1:(\d+)/)
      while (!(await isOpen(nginx))) await setTimeout(20)
      return [name, { nginx, ours: Number(ours) }] as const
    }),
  )
  return Object.fromEntries(found) as unknown as Neighbours
}

function proxyTo(port: number): string {
  return `location / { proxy_pass http://127.0.0.1:${port}; }`
}

/** Without its version, which is not that of nginx but of this machine. */
function startNginx({ key, cert }: { key: string; cert: string }, servers: string): void {
  const home = join(folder, 'neighbour')
  mkdirSync(join(home, 'site'), { recursive: true })
  writeFileSync(join(home, 'site', 'index.html'), 'a site')
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${home}/${name};`)
    .join(' ')
  const config = join(home, 'nginx.conf')
  writeFileSync(
    config,
    `daemon off; master_process off; error_log stderr crit; pid ${home}/pid; events {}
     http { access_log off; server_tokens off; ${temporary}
       ssl_certificate ${cert}; ssl_certificate_key ${key}; ssl_protocols TLSv1.3;
       ssl_prefer_server_ciphers off; root ${home}/site;
       ${servers} }`,
  )
  const flags = ['-p', home, '-c', config, '-e', 'stderr']
  const child = spawn(nginxProgram.path, flags, { stdio: 'ignore' })
  whenDone(() => void child.kill('SIGKILL'))
}
