// A real browser, headless: at the server as a web site, and behind the client as a program that uses it.

import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { requireProgram } from '../../support/programs.ts'
import { folder, serveHttp, serveHttps, startPair, startServer } from '../support.ts'

const chromium = requireProgram('chromium', 'chromium-browser', 'google-chrome')

const QUIET = [
  ...['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'],
  ...['--disable-background-networking', '--disable-component-update', '--disable-sync'],
  '--ignore-certificate-errors',
]

describe.skipIf(chromium.isMissing)(`Chromium${chromium.note}`, { timeout: 60_000 }, () => {
  it('main job: an ordinary browser that opens https://server/ sees an ordinary web site', async () => {
    const server = await startServer()
    const picture = join(folder, 'site.png')
    const url = `https://${server.address}`
    expect(await browse(`${url}/`)).toContain('<title>Brook Lane Garden</title>')
    expect(await browse(`${url}/about.html`)).toContain('<h1>About the garden</h1>')
    expect(await browse(`${url}/nothing`)).toContain('<h1>Nothing grows here</h1>')
    await run([`--screenshot=${picture}`, '--window-size=800,900', `${url}/`])
    const png = readFileSync(picture)
    // IHDR: width and height; and more in it than an empty page has.
    expect([png.readUInt32BE(16), png.readUInt32BE(20)]).toEqual([800, 900])
    expect(png.length).toBeGreaterThan(10_000)
  })

  it('main job: a browser behind the client, SOCKS5 or HTTP, loads pages with many parts', async () => {
    const { client } = await startPair(['--log-level', 'debug'])
    const plain = await serveHttp(servePage)
    const secure = await serveHttps(servePage)
    for (const scheme of ['socks5', 'http']) {
      const proxied = [
        `--proxy-server=${scheme}://${client.proxy}`,
        // Loopback is not asked of a proxy unless told so.
        '--proxy-bypass-list=<-loopback>',
      ]
      for (const url of [`http://localhost:${plain.port}/`, `https://localhost:${secure.port}/`]) {
        expect(await browse(url, ...proxied)).toContain('<p id="result">24 pictures</p>')
      }
      const protocol = scheme === 'http' ? 'http-connect' : scheme
      expect(client.program.stderr()).toMatch(new RegExp(`a tunnel stands.*"${protocol}"`))
    }
  })
})

/** What the page is once everything has loaded, as HTML. */
async function browse(url: string, ...flags: string[]): Promise<string> {
  return run([...flags, '--dump-dom', url])
}

async function run(flags: readonly string[]): Promise<string> {
  const profile = mkdtempSync(join(folder, 'profile-'))
  const { stdout } = await promisify(execFile)(
    chromium.path,
    [...QUIET, `--user-data-dir=${profile}`, ...flags],
    { timeout: 25_000, killSignal: 'SIGKILL' },
  )
  return stdout
}

const PIXEL = Buffer.from('R0lGODlhAQABAIAAAP///wAAACwAAAAAAQABAAACAkQBADs=', 'base64')

const PAGE = `<!doctype html><title>A page</title><p id="result">none</p>
${Array.from({ length: 24 }, (_, index) => `<img src="/picture-${index}">`).join('')}
<script>
addEventListener('load', () => {
  const loaded = [...document.images].filter((image) => image.naturalWidth === 1)
  document.getElementById('result').textContent = loaded.length + ' pictures'
})
</script>`

function servePage({ url = '' }: IncomingMessage, response: ServerResponse): void {
  if (url === '/') response.setHeader('Content-Type', 'text/html').end(PAGE)
  else if (url.startsWith('/picture-')) response.setHeader('Content-Type', 'image/gif').end(PIXEL)
  else response.writeHead(404).end()
}
