// Large files through both programs, checked by their digests, alone and beside each other.

import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { curl, sha256 } from '../proxy/support.ts'
import {
  curlProgram,
  folder,
  onLinux,
  residentMemory,
  serveBytes,
  serveHttp,
  startClient,
  startServer,
} from './support.ts'
import type { ClientProgram, ServerProgram } from './support.ts'

const MIB = 1 << 20
const FILE = randomBytes(64 * MIB)
const DIGEST = sha256(FILE)

/** How curl is told to use the proxy. */
const EACH_WAY = [
  ['SOCKS5', (proxy: string) => ['--socks5-hostname', proxy]],
  ['CONNECT', (proxy: string) => ['-p', '-x', `http://${proxy}`]],
  ['plain http', (proxy: string) => ['-x', `http://${proxy}`]],
] as const

describe.skipIf(curlProgram.isMissing)(
  `large files through both programs${curlProgram.note}`,
  { timeout: 60_000 },
  () => {
    let server: ServerProgram
    let client: ClientProgram
    let origin: number

    beforeAll(async () => {
      server = await startServer()
      client = await startClient(server.link)
      origin = (await serveHttp(serveBytes(FILE))).port
      writeFileSync(join(folder, 'file'), FILE)
    })

    it.for(EACH_WAY)('main job: 64 MiB come down through %s unchanged', async ([, way]) => {
      const url = `http://127.0.0.1:${origin}/${FILE.length}`
      const { code, stdout } = await curl('-m', '50', ...way(client.proxy), url)
      expect(code).toBe(0)
      expect(stdout.length).toBe(FILE.length)
      expect(sha256(stdout)).toBe(DIGEST)
    })

    it.for(EACH_WAY)('main job: 64 MiB go up through %s unchanged', async ([, way]) => {
      const upload = ['-T', join(folder, 'file'), `http://127.0.0.1:${origin}/`]
      const { code, stdout } = await curl('-m', '50', ...way(client.proxy), ...upload)
      expect(code).toBe(0)
      const expected = `PUT 127.0.0.1:${origin} /file ${FILE.length} ${DIGEST}\n`
      expect(String(stdout)).toBe(expected)
    })

    it('main job: eight downloads of 16 MiB at once, each unchanged, share one TLS connection', async () => {
      const before = client.connections()
      const length = 16 * MIB
      const digest = sha256(FILE.subarray(0, length))
      const downloads = Array.from({ length: 8 }, (_, index) => {
        const how = index % 2 === 0 ? '--socks5-hostname' : '-x'
        return curl('-m', '50', how, client.proxy, `http://127.0.0.1:${origin}/${length}`)
      })
      for (const { code, stdout } of await Promise.all(downloads)) {
        expect(code).toBe(0)
        expect(sha256(stdout)).toBe(digest)
      }
      expect(before).toBe(1)
      expect(client.connections()).toBe(1)
      expect(server.clients()).toBe(1)
    })

    it.skipIf(!onLinux)(
      'back-pressure: the programs have not grown by what passed through (only on Linux)',
      () => {
        expect(residentMemory(server.program)).toBeLessThan(256)
        expect(residentMemory(client.program)).toBeLessThan(256)
      },
    )
  },
)
