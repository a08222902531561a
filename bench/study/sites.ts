// The sites of the study: pages made from a seed, of four makes, served by nginx over h2 and TLS 1.3.
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { seededRandomInt } from '../../src/harness/simulate/seeded-random.ts'
import type { RandomInt } from '../../src/shaping/shaper.ts'
import { makeTestCertificate } from '../../test/support/certificate.ts'

/** What pages are made of: many small files, a video in segments, an API that is talked to, a form that is sent. */
const MAKES = ['files', 'video', 'chatter', 'form'] as const
/** An expression that is a promise of the end of a page, once it has loaded. */
export const FINISHED = 'window.finished'

/** The path of a page. All have one length, as that shows in the request. Makes take turns. */
export function pagePath(page: number): string {
  return `/${String(page).padStart(6, '0')}.html`
}

/** A page that asks for something small at times of its own, and for ever. */
export function pollingPath(page: number): string {
  return pagePath(page).replace('/', '/polling-')
}

/** Of one file, pieces of which stand for all others. */
const BLOB_BYTES = 1_048_576

export interface Sites {
  readonly port: number
  /** Bytes of content that a load of a page fetches, by its number. */
  readonly contents: readonly number[]
  stop(): Promise<void>
}

/**
 * nginx with `count` pages in `folder`. No page is loaded twice: a classifier that met one in both sets could tell
 * nothing but pages apart.
 */
export async function serveSites(
  folder: string,
  nginx: string,
  seed: number,
  count: number,
): Promise<Sites> {
  const www = join(folder, 'www')
  mkdirSync(www, { recursive: true })
  writeFileSync(join(www, 'blob'), randomBytes(BLOB_BYTES))
  const contents: number[] = []
  for (let page = 0; page < count; page += 1) {
    const make = MAKES[page % MAKES.length] ?? 'files'
    const random = seededRandomInt(seed * 1_000_000 + page)
    const { text, fetched } = pageText(make, random)
    contents.push(fetched + text.length)
    writeFileSync(join(www, pagePath(page)), text)
    const poll = `<script>setInterval(() => get(${random(100, 2_000)}), ${random(5_000, 30_000)})</script>`
    writeFileSync(join(www, pollingPath(page)), text + poll)
  }
  const { key, cert } = await makeTestCertificate()
  writeFileSync(join(folder, 'key.pem'), key, { mode: 0o600 })
  writeFileSync(join(folder, 'cert.pem'), cert)
  const port = await freePort()
  writeFileSync(join(folder, 'nginx.conf'), nginxConfig(folder, port))
  const child = spawn(nginx, ['-p', folder, '-c', join(folder, 'nginx.conf')], { stdio: 'ignore' })
  const gone = once(child, 'exit')
  await Promise.race([
    accepting(port),
    gone.then(() => {
      throw new Error('nginx has ended; its error.log says why')
    }),
  ])
  return {
    port,
    contents,
    async stop() {
      child.kill('SIGQUIT')
      await Promise.race([gone, setTimeout(3_000).then(() => child.kill('SIGKILL'))])
    },
  }
}

function pageText(make: (typeof MAKES)[number], random: RandomInt) {
  let fetched = 0
  const bytes = (least: number, most: number) => {
    const drawn = random(least, most)
    fetched += drawn
    return drawn
  }
  const get = (least: number, most: number) => `await get(${bytes(least, most)})`
  const pause = (least: number, most: number) => `await pause(${random(least, most)})`
  const times = (count: number, of: () => string) => Array.from({ length: count }, of)
  const steps = {
    files: () => [
      `await Promise.all([${times(random(15, 50), () => `get(${bytes(300, 20_000)})`).join()}])`,
    ],
    video: () => times(random(4, 7), () => `${get(150_000, 600_000)}; ${pause(20, 80)}`),
    chatter: () => times(random(12, 30), () => `${get(200, 4_000)}; ${pause(2, 50)}`),
    form: () => [
      pause(30, 100),
      `await fetch('/post', { method: 'POST', body: 'x'.repeat(${random(300, 3_000)}) })`,
      get(500, 8_000),
    ],
  }[make]()
  const text = `<!doctype html><title>${make}</title><link rel="icon" href="data:,">
<script>
const get = async (bytes) =>
  (await fetch('/blob', { headers: { range: 'bytes=0-' + (bytes - 1) }, cache: 'no-store' })).arrayBuffer()
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
window.finished = (async () => { ${get(1_000, 12_000)}; ${steps.join('; ')}; return true })()
</script><p>${'Words of a page that nobody reads. '.repeat(random(40, 600))}`
  return { text, fetched }
}

/** Compression off, so that a page has the size that its seed gave it. */
function nginxConfig(folder: string, port: number): string {
  return `daemon off; master_process off; pid ${folder}/nginx.pid; error_log ${folder}/error.log;
events { worker_connections 1024; }
http {
  access_log off; default_type application/octet-stream; types { text/html html; }
  client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi;
  server {
    listen 127.0.0.1:${port} ssl http2;
    ssl_certificate ${folder}/cert.pem; ssl_certificate_key ${folder}/key.pem; ssl_protocols TLSv1.3;
    root ${folder}/www;
    location = /post { return 204; }
  }
}
`
}

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

async function accepting(port: number): Promise<void> {
  for (;;) {
    const socket = connect(port, '127.0.0.1')
    const answer = await Promise.race([
      once(socket, 'connect').then(() => true),
      once(socket, 'error').then(() => false),
    ]).catch(() => false)
    socket.destroy()
    if (answer) return
    await setTimeout(50)
  }
}
