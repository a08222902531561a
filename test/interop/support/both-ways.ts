// What must hold of both directions of interop with the Go programs: requests, datagrams, and streams that close in flight.
import { randomBytes } from 'node:crypto'
import { expect, it } from 'vitest'
import type { Program } from '../../cli/run-program.ts'
import { until } from '../../e2e/support.ts'
import { fetches, openTunnel, receiveToEnd, sendAndEnd, startTcpOrigin, upload } from './traffic.ts'
import type { FileOrigin } from './traffic.ts'
import { asksDns, echoesPackets, startDnsServer, startUdpEcho } from './udp.ts'

const MIB = 1 << 20

type Client = Parameters<typeof openTunnel>[0]
type Association = Parameters<typeof echoesPackets>[0]

/** 200 requests, one after the other. */
export async function askOneByOne(client: Client): Promise<void> {
  for (let request = 0; request < 200; request += 1) {
    const text = Buffer.from(`${request}`)
    expect(await receiveToEnd(client, text)).toEqual(text)
  }
}

/** Packets of 1 to 8,000 bytes, and a DNS query by name and by address. */
export async function checkDatagrams(association: Association): Promise<void> {
  const sizes = [1, 512, 1_400, 8_000]
  expect(await echoesPackets(association, await startUdpEcho(), sizes)).toBe(true)
  const dns = await startDnsServer()
  expect(await asksDns(association, '127.0.0.1', dns)).toBe(true)
  expect(await asksDns(association, 'localhost', dns)).toBe(true)
}

/** Requests, bulk, and streams that close in flight. `go` is the Go program. */
export function describeTraffic(
  at: () => { readonly client: Client; readonly files: FileOrigin; readonly go: Program },
): void {
  it.for(['--socks5-hostname', '-x'])('curl %s fetches through them', async (how) => {
    const { client, files } = at()
    expect(await fetches(client, files, 100_000, how)).toBe(true)
  })

  it('64 MiB come down unchanged', async () => {
    const { client, files } = at()
    expect(await fetches(client, files, files.file.length)).toBe(true)
  })

  it('64 MiB go up unchanged', async () => {
    const { client, files } = at()
    const { answer, expected } = await upload(client, files)
    expect(answer).toBe(expected)
  })

  it('close in flight: what was sent before the end of a stream arrives, both ways', async () => {
    const { client } = at()
    const bytes = randomBytes(MIB)
    const each = Array.from({ length: 10 })
    const up = await Promise.all(each.map(() => sendAndEnd(client, bytes)))
    const down = await Promise.all(each.map(() => receiveToEnd(client, bytes)))
    for (const received of [...up, ...down]) expect(received.equals(bytes)).toBe(true)
  })

  it('close in flight: a target that is left, and one that resets, harm nothing else', async () => {
    const { client, files, go } = at()
    const source = await startTcpOrigin((socket) => {
      socket.resume().on('end', () => socket.end())
      socket.write(Buffer.alloc(8 * MIB))
    })
    for (const leave of ['client', 'target'] as const) {
      const tunnel = await openTunnel(client, source.port)
      await until(() => tunnel.bytesRead > 100_000 || tunnel.readableLength > 0, 'data comes')
      const socket = source.sockets.at(-1)!
      if (leave === 'client') tunnel.destroy()
      else socket.resetAndDestroy()
      await until(() => socket.destroyed, 'the target is left')
      tunnel.resume()
      await until(() => tunnel.destroyed || tunnel.readableEnded, 'the tunnel ends')
      tunnel.destroy()
      expect(await fetches(client, files, 100_000)).toBe(true)
    }
    expect(go.stderr()).not.toMatch(/panic|goroutine/)
  })
}
