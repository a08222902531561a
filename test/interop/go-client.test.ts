// The Go client proxying through our server, which speaks the original wire on the port of its own.

import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { stop } from '../cli/run-program.ts'
import { curlProgram, folder, startClient, startServer, until } from '../e2e/support.ts'
import type { ServerProgram } from '../e2e/support.ts'
import { closedPort, curl, readExactly } from '../proxy/support.ts'
import { carriedBytes, applicationRecords, startRecordTap } from '../support/record-tap.ts'
import { askOneByOne, checkDatagrams, describeTraffic } from './support/both-ways.ts'
import { goProgram } from './support/go-build.ts'
import {
  Command,
  certificateFiles,
  startGoClient,
  startSlowEcho,
  tracedFrames,
} from './support/go-program.ts'
import type { GoClient } from './support/go-program.ts'
import {
  fetches,
  manyStreams,
  openTunnel,
  startFileOrigin,
  startTcpOrigin,
} from './support/traffic.ts'
import type { FileOrigin } from './support/traffic.ts'
import { associate, echoesPackets, startUdpEcho } from './support/udp.ts'

const MIB = 1 << 20

/** Built-in scheme of both sides, as settings name it. */
const BUILT_IN_DIGEST = '75cff2ad89aadf5e257059ee571ebe11'

describe.skipIf(goProgram.isMissing || curlProgram.isMissing)(
  `Interop: the Go client at our server${goProgram.note}${curlProgram.note}`,
  { timeout: 30_000 },
  () => {
    let flags: string[]
    let server: ServerProgram
    let client: GoClient
    let files: FileOrigin

    beforeAll(async () => {
      const { key, cert } = await certificateFiles()
      flags = ['--key', key, '--cert', cert]
      ;[server, files] = await Promise.all([startServer(flags), startFileOrigin()])
      client = await startGoClient(server.port)
    }, 60_000)

    it('version 2 is what they settle on, and every SYN is acknowledged', async () => {
      expect(await fetches(client, files, 10)).toBe(true)
      const frames = tracedFrames(client.program)
      expect(frames.find(({ command }) => command === Command.ServerSettings)?.data).toMatch(
        /^v=2\n?$/,
      )
      const count = (wanted: number) => frames.filter(({ command }) => command === wanted).length
      expect(count(Command.SynAck)).toBe(count(Command.Syn))
      expect(count(Command.UpdateScheme)).toBe(0)
      expect(count(Command.Alert)).toBe(0)
    })

    it('200 streams at once, each on a connection of its own, get back what they send', async () => {
      await manyStreams(client, 200)
      expect(client.connections()).toBeGreaterThanOrEqual(200)
      expect(await fetches(client, files, 10)).toBe(true)
    })

    it('200 requests one after the other share one connection', async () => {
      const before = client.connections()
      await askOneByOne(client)
      expect(client.connections() - before).toBeLessThanOrEqual(1)
    })

    it.for(['v1', 'v2', 'v2-connect'] as const)(
      'UDP over TCP, %s: packets of 1 to 8,000 bytes and a DNS query by name and by address',
      async (udp) => {
        const own = await startGoClient(server.port, { udp })
        const association = await associate(own)
        await checkDatagrams(association)
        association.close()
        await until(
          () => tracedFrames(own.program).some(({ command }) => command === Command.Fin),
          'the association ends',
        )
      },
    )

    // What docs/proxy.md says of it.
    it('UDP over TCP: 16,120 bytes are the most; more ends the association, and the next one works', async () => {
      const own = await startGoClient(server.port)
      const fins = () =>
        tracedFrames(own.program).filter(
          ({ command, direction }) => command === Command.Fin && direction === 'out',
        ).length
      const echo = await startUdpEcho()
      for (const ended of [1, 2]) {
        const association = await associate(own)
        expect(await echoesPackets(association, echo, [16_000, 16_120])).toBe(true)
        association.send('127.0.0.1', echo, Buffer.alloc(16_200))
        await until(() => fins() === ended, 'the association ends')
        association.close()
      }
    })

    it('TLS 1.2 alone: refused without a page, served with --legacy-tls12 (D53)', async () => {
      const allowing = await startServer([...flags, '--legacy-tls12'])
      const [refused, served] = await Promise.all(
        [server, allowing].map(({ port }) => startGoClient(port, { tls12: true })),
      )
      expect(await fetches(served!, files, 100_000)).toBe(true)
      const { code } = await curl('-m', '5', '--socks5-hostname', refused!.proxy, files.url(10))
      expect([52, 56, 97]).toContain(code)
      await server.program.said(/a client was refused.*--legacy-tls12/)
    })

    it('our scheme arrives, is what the next connection is shaped by, and is not sent again', async () => {
      const scheme = 'stop=4\n0=77-77\n1=640-640\n2=333-333\n3=500-600\n'
      const file = join(folder, 'own.scheme')
      writeFileSync(file, scheme)
      const own = await startServer([...flags, '--padding-scheme', file])
      const tap = await startRecordTap(own.port)
      const told = await startGoClient(tap.port)
      const echo = await startTcpOrigin((socket) => socket.pipe(socket))
      const first = await openTunnel(told, echo.port)
      const update = await told.program.said(/Update padding succeed\] ([\da-f]{32})/)
      const second = await openTunnel(told, echo.port)
      second.write('hello')
      await until(() => echo.sockets.length === 2, 'both streams are there')
      const frames = tracedFrames(told.program)
      const of = (wanted: number) => frames.filter(({ command }) => command === wanted)
      const [updated, ...more] = of(Command.UpdateScheme)
      expect(more).toEqual([])
      expect(updated?.connection).toBe(1)
      const digest = createHash('md5').update(updated!.data).digest('hex')
      expect(update[1]).toBe(digest)
      expect(of(Command.Settings).map(({ data }) => /^padding-md5=(.*)$/m.exec(data)?.[1])).toEqual(
        [BUILT_IN_DIGEST, digest],
      )
      await until(
        () => applicationRecords(tap.connections[1]!).up.length >= 3,
        'the greeting passes',
      )
      const sizes = carriedBytes(applicationRecords(tap.connections[1]!).up)
      expect(sizes.slice(0, 3)).toEqual([34 + 77, 640, 333])
      for (const tunnel of [first, second]) tunnel.destroy()
      await tap.stop()
    })

    it('an authentication block that Go parts into two records is taken', async () => {
      // Go puts at most 1,186 bytes into the first record of a connection.
      const file = join(folder, 'long.scheme')
      writeFileSync(file, 'stop=2\n0=2000-2000\n1=120-120')
      const own = await startServer([...flags, '--padding-scheme', file])
      const tap = await startRecordTap(own.port)
      const told = await startGoClient(tap.port)
      const echo = await startTcpOrigin((socket) => socket.pipe(socket))
      const first = await openTunnel(told, echo.port)
      await told.program.said(/Update padding succeed/)
      expect(await fetches(told, files, 100_000)).toBe(true)
      const sizes = carriedBytes(applicationRecords(tap.connections[1]!).up)
      expect(sizes.slice(0, 3)).toEqual([1_186, 34 + 2_000 - 1_186, 120])
      first.destroy()
      await tap.stop()
    })

    it('one port: our client of ANYTLS version 1 goes through the same server at the same time', async () => {
      const own = await startClient(server.link, ['--wire', 'v1'], { state: 'v1' })
      const clients = [client, own, client, own]
      const fetched = clients.map((each) => fetches(each, files, 4 * MIB))
      expect(await Promise.all(fetched)).toEqual([true, true, true, true])
    })

    it('wrong password: a request fails soon, and the server says nothing that this protocol has', async () => {
      const stranger = await startGoClient(server.port, { password: 'wrong' })
      const { code, stdout } = await curl('--socks5-hostname', stranger.proxy, files.url(10))
      expect([52, 56, 97]).toContain(code)
      expect(stdout.length).toBe(0)
      const known: readonly number[] = Object.values(Command)
      const answers = tracedFrames(stranger.program).filter(
        ({ direction, command }) => direction === 'in' && known.includes(command),
      )
      expect(answers).toEqual([])
      expect(stranger.program.child.exitCode).toBeNull()
      expect(await fetches(client, files, 10)).toBe(true)
    })

    it('refused target: the SYNACK says so, the stream ends, and its connection is used again', async () => {
      expect(await fetches(client, files, 10)).toBe(true)
      const before = client.connections()
      const refused = tracedFrames(client.program).length
      const url = `http://127.0.0.1:${await closedPort()}/`
      const { code } = await curl('-m', '5', '--socks5-hostname', client.proxy, url)
      expect([52, 56]).toContain(code)
      const reports = tracedFrames(client.program)
        .slice(refused)
        .filter(({ command }) => command === Command.SynAck)
      expect(reports).toHaveLength(1)
      expect(reports[0]?.data).toMatch(/^[\x20-\x7e]+$/)
      expect(await fetches(client, files, 10)).toBe(true)
      expect(client.connections()).toBe(before)
    })

    it('slow target: four seconds of dialling outlive the three that this client gives a SYN', async () => {
      expect(await fetches(client, files, 10)).toBe(true)
      const tunnel = await openTunnel(client, await startSlowEcho())
      tunnel.write('patience')
      expect(String(await readExactly(tunnel, 8))).toBe('patience')
      tunnel.destroy()
    })

    describeTraffic(() => ({ client, files, go: client.program }))

    it('server restart: the client works again as soon as the server is back', async () => {
      expect(await fetches(client, files, 10)).toBe(true)
      await stop(server.program)
      const { code } = await curl('--socks5-hostname', client.proxy, files.url(10))
      expect(code).not.toBe(0)
      server = await startServer(flags, { port: server.port })
      expect(await fetches(client, files, 100_000)).toBe(true)
    })
  },
)
