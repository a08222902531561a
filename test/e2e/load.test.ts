// Many requests at once, and slow ones beside fast ones: all right, nobody held up, nothing left over.

import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { connectTo, curl, readAll, sha256 } from '../proxy/support.ts'
import {
  curlProgram,
  fileDescriptors,
  folder,
  onLinux,
  residentMemory,
  serveBytes,
  serveHttp,
  startPair,
  until,
} from './support.ts'
import type { ClientProgram, Origin, ServerProgram } from './support.ts'

const MIB = 1 << 20
const FILE = randomBytes(64 * MIB)
const REQUESTS = 200
const AT_ONCE = 32

describe.skipIf(curlProgram.isMissing)(
  `many programs at once${curlProgram.note}`,
  { timeout: 60_000 },
  () => {
    let server: ServerProgram
    let client: ClientProgram
    let origin: Origin
    const sent = new Map<string, ServerResponse>()

    beforeAll(async () => {
      ;({ server, client } = await startPair())
      const give = serveBytes(FILE)
      origin = await serveHttp((request, response) => {
        sent.set(request.url ?? '', response)
        if (request.url === '/hold') request.pause()
        else give(request, response)
      })
      writeFileSync(join(folder, 'upload'), FILE)
    })

    /** Four downloads of 16 MiB at once; how long they took, in ms. */
    async function fastOnes(): Promise<number> {
      const begin = performance.now()
      const url = `http://127.0.0.1:${origin.port}/${16 * MIB}`
      const each = () => curl('-m', '50', '--socks5-hostname', client.proxy, url)
      for (const { code, stdout } of await Promise.all(Array.from({ length: 4 }, each))) {
        expect(code).toBe(0)
        expect(stdout.equals(FILE.subarray(0, 16 * MIB))).toBe(true)
      }
      return performance.now() - begin
    }

    function expectBoundedMemory(): void {
      if (!onLinux) return
      expect(residentMemory(server.program)).toBeLessThan(256)
      expect(residentMemory(client.program)).toBeLessThan(256)
    }

    it('main job: 200 requests, 32 at a time, are all answered, and no file descriptor is left', async () => {
      expect(await fetchByHand(client, origin, 0)).toBe(true)
      const descriptors = () => [server, client].map(({ program }) => fileDescriptors(program))
      const before = onLinux ? descriptors() : []

      let next = 0
      let right = 0
      const worker = async () => {
        while (next < REQUESTS) {
          next += 1
          if (await fetchByHand(client, origin, next * 997)) right += 1
        }
      }
      await Promise.all(Array.from({ length: AT_ONCE }, worker))
      expect(right).toBe(REQUESTS)
      // Eight streams a session, and some more for streams that were not quite over yet.
      expect(client.connections()).toBeLessThanOrEqual(2 * (AT_ONCE / 8))
      expect(server.clients()).toBe(client.connections())

      if (!onLinux) return
      const sessions = client.connections() - 1
      await until(
        () => descriptors().every((count, index) => count <= before[index]! + sessions),
        'only the sessions have a file descriptor',
      )
      expectBoundedMemory()
    })

    it('back-pressure: a slow reader takes no more than it reads, and fast ones beside it stay fast', async () => {
      const connections = client.connections()
      const alone = await fastOnes()
      const url = `http://127.0.0.1:${origin.port}/${FILE.length}`
      const slow = curl('-m', '5', '--limit-rate', '100k', '--socks5-hostname', client.proxy, url)
      const idle = await connectTo(client.port)
      idle.pause().write(socksRequest(origin, `/${FILE.length - 1}`))
      await until(
        () => sent.has(`/${FILE.length}`) && sent.has(`/${FILE.length - 1}`),
        'both begin',
      )

      expect(await fastOnes()).toBeLessThan(3 * alone + 2_000)
      for (const name of [`/${FILE.length}`, `/${FILE.length - 1}`]) {
        // What fits into the windows and into the buffers of the kernel on the way, which may have 32 MiB for one connection.
        const socket = sent.get(name)?.socket
        const taken = socket!.bytesWritten - socket!.writableLength
        expect(taken, name).toBeLessThan((3 * FILE.length) / 4)
      }
      expectBoundedMemory()
      expect(client.connections()).toBe(connections)
      idle.destroy()
      expect((await slow).code).toBe(28)
    })

    it('back-pressure: an origin that does not read holds up its own upload and no other', async () => {
      const connections = client.connections()
      const url = `http://127.0.0.1:${origin.port}/hold`
      const held = curl('-m', '20', '-T', join(folder, 'upload'), '-x', client.proxy, url)
      await until(() => sent.has('/hold'), 'the upload begins')
      await fastOnes()
      const upload = await curl(
        ...['-m', '50', '-T', join(folder, 'upload'), '--socks5-hostname', client.proxy],
        `http://127.0.0.1:${origin.port}/0`,
      )
      expect(String(upload.stdout)).toContain(` ${FILE.length} ${sha256(FILE)}\n`)
      expectBoundedMemory()
      expect(client.connections()).toBe(connections)
      sent.get('/hold')?.socket?.resetAndDestroy()
      expect(String((await held).stdout)).not.toContain(sha256(FILE))
    })
  },
)

/** SOCKS5 greeting, request and the HTTP request behind it, as one chunk. */
function socksRequest({ port }: Origin, path: string): Buffer {
  return Buffer.concat([
    Uint8Array.of(5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, port >> 8, port & 0xff),
    Buffer.from(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`),
  ])
}

/** Fetches the first `length` bytes of the file without waiting for any answer in between. */
async function fetchByHand(
  client: ClientProgram,
  origin: Origin,
  length: number,
): Promise<boolean> {
  const socket = await connectTo(client.port)
  socket.write(socksRequest(origin, `/${length}`))
  const answer = await readAll(socket)
  socket.end()
  const body = answer.indexOf('\r\n\r\n') + 4
  const isAnswered = answer.subarray(0, 4).equals(Uint8Array.of(5, 0, 5, 0))
  return isAnswered && answer.subarray(body).equals(FILE.subarray(0, length))
}
