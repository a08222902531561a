// Our client, told to speak the original wire, proxying through the Go server.

import { createHash } from 'node:crypto'
import { beforeAll, describe, expect, it } from 'vitest'
import { stop } from '../cli/run-program.ts'
import { curlProgram, startClient, until } from '../e2e/support.ts'
import type { ClientProgram } from '../e2e/support.ts'
import { closedPort, curl, readExactly } from '../proxy/support.ts'
import { applicationRecords, carriedBytes, startRecordTap } from '../support/record-tap.ts'
import { askOneByOne, checkDatagrams, describeTraffic } from './support/both-ways.ts'
import { goProgram } from './support/go-build.ts'
import {
  Command,
  certificateFiles,
  linkTo,
  startGoServer,
  startSlowEcho,
  tracedFrames,
} from './support/go-program.ts'
import type { GoServer } from './support/go-program.ts'
import {
  fetches,
  manyStreams,
  openTunnel,
  startFileOrigin,
  startTcpOrigin,
} from './support/traffic.ts'
import type { FileOrigin } from './support/traffic.ts'
import { associate, echoesPackets, startUdpEcho } from './support/udp.ts'

const LEGACY = ['--wire', 'legacy']

/** Built-in scheme of both sides, as settings name it. */
const BUILT_IN_DIGEST = '75cff2ad89aadf5e257059ee571ebe11'

/** What curl exits with when its proxy refuses, or ends, what it asked for. */
const REFUSED = [52, 56, 97]

describe.skipIf(goProgram.isMissing || curlProgram.isMissing)(
  `Interop: our client at the Go server${goProgram.note}${curlProgram.note}`,
  { timeout: 30_000 },
  () => {
    let server: GoServer
    let client: ClientProgram
    let files: FileOrigin
    let pin: string

    beforeAll(async () => {
      ;({ pin } = await certificateFiles())
      ;[server, files] = await Promise.all([startGoServer(), startFileOrigin()])
      client = await startClient(server.link, [...LEGACY, '--reply-wait', 'exact'])
    }, 60_000)

    it('version 2 is what they settle on, and the built-in scheme is the same', async () => {
      expect(await fetches(client, files, 10)).toBe(true)
      const frames = tracedFrames(server.program)
      const [settings] = frames.filter(({ command }) => command === Command.Settings)
      const lines = settings?.data.split('\n')
      expect(lines).toContain('v=2')
      expect(lines).toContain(`padding-md5=${BUILT_IN_DIGEST}`)
      expect(lines?.some((line) => /^client=\S+\/\S+$/.test(line))).toBe(true)
      const count = (wanted: number) => frames.filter(({ command }) => command === wanted).length
      expect(count(Command.SynAck)).toBe(count(Command.Syn))
      expect(count(Command.UpdateScheme)).toBe(0)
      expect(count(Command.Alert)).toBe(0)
    })

    it('--wire auto: finds out that this server speaks the original wire, and remembers it', async () => {
      const auto = await startClient(server.link, [], { state: 'auto' })
      expect(await fetches(auto, files, 100_000)).toBe(true)
      const rejected = () => server.program.stderr().match(/rejected/g)?.length ?? 0
      const before = rejected()
      expect(await fetches(auto, files, 100_000)).toBe(true)
      await stop(auto.program)
      const again = await startClient(server.link, [], { state: 'auto' })
      expect(await fetches(again, files, 100_000)).toBe(true)
      expect(rejected()).toBe(before)
    })

    it('200 streams at once each get back what they send', async () => {
      await manyStreams(client, 200)
      expect(await fetches(client, files, 10)).toBe(true)
    })

    it('200 requests one after the other share one connection', async () => {
      expect(await fetches(client, files, 10)).toBe(true)
      const before = client.connections()
      await askOneByOne(client)
      expect(client.connections()).toBe(before)
    })

    it('UDP: packets of 1 to 8,000 bytes and a DNS query by name and by address', async () => {
      const association = await associate(client)
      await checkDatagrams(association)
      const fins = () =>
        tracedFrames(server.program).filter(
          ({ command, direction }) => command === Command.Fin && direction === 'in',
        ).length
      const before = fins()
      association.close()
      await until(() => fins() > before, 'the association ends')
    })

    it('UDP: a packet that is too large for it is dropped, and the association lives', async () => {
      const association = await associate(client)
      const echo = await startUdpEcho()
      const small = () => echoesPackets(association, echo, [512, 8_000])
      expect(await small()).toBe(true)
      const fins = () =>
        tracedFrames(server.program).filter(({ command }) => command === Command.Fin).length
      let before = fins()
      association.send('127.0.0.1', echo, Buffer.alloc(60_000))
      // The server ends the stream for it; then this client opens another.
      await until(() => fins() > before, 'the stream ends')
      let isAlive = false
      while (!isAlive) isAlive = await small().catch(() => false)
      // From now on it knows.
      association.send('127.0.0.1', echo, Buffer.alloc(60_000))
      expect(await small()).toBe(true)
      before = fins()
      association.close()
      await until(() => fins() > before, 'the association ends')
    })

    // An LF at the end counts for the digest of a scheme.
    it.for([
      ['without', ''],
      ['with', '\n'],
    ] as const)(
      'its scheme, %s an LF at the end, shapes all later connections and is not sent again',
      async ([ending, end]) => {
        const scheme = `stop=4\n0=77-77\n1=640-640\n2=333-333\n3=500-600${end}`
        const digest = createHash('md5').update(scheme).digest('hex')
        const own = await startGoServer({ scheme })
        const tap = await startRecordTap(own.port)
        const echo = await startTcpOrigin((socket) => socket.pipe(socket))
        // A tunnel is there once the server has said so: all that leaves before has left by then.
        const flags = [...LEGACY, '--reply-wait', 'exact']
        const start = () => startClient(linkTo(tap.port, pin), flags, { state: `told ${ending}` })
        const told = await start()
        const first = await openTunnel(told, echo.port)
        await told.program.said(/the server sent a padding scheme/)
        // More than go on one connection.
        const more = Array.from({ length: 19 }, () => openTunnel(told, echo.port))
        for (const tunnel of [first, ...(await Promise.all(more))]) tunnel.destroy()
        await stop(told.program)
        expect(await fetches(await start(), files, 100_000)).toBe(true)

        const frames = tracedFrames(own.program)
        const of = (wanted: number) => frames.filter(({ command }) => command === wanted)
        expect(of(Command.UpdateScheme).map(({ connection }) => connection)).toEqual([1])
        const digests = of(Command.Settings).map(
          ({ data }) => /^padding-md5=(.*)$/m.exec(data)?.[1],
        )
        expect(digests.length).toBeGreaterThanOrEqual(4)
        expect(digests).toEqual([BUILT_IN_DIGEST, ...digests.slice(1).fill(digest)])
        const sizes = tap.connections.map((each) => carriedBytes(applicationRecords(each).up))
        for (const written of sizes.slice(1)) expect(written.slice(0, 2)).toEqual([34 + 77, 640])
        // The last one has carried a request too.
        expect(sizes.at(-1)?.[2]).toBe(333)
        await tap.stop()
      },
    )

    it('wrong password: a request fails soon, the client says why and stays', async () => {
      const link = linkTo(server.port, pin, 'wrong')
      const stranger = await startClient(link, LEGACY, { state: 'stranger' })
      const { code } = await curl('-m', '8', '--socks5-hostname', stranger.proxy, files.url(10))
      expect(REFUSED).toContain(code)
      await server.program.said(/rejected: .*unknown user password/)
      expect(stranger.program.stderr()).not.toMatch(/^\s+at /m)
      expect(stranger.program.child.exitCode).toBeNull()
      expect(await fetches(client, files, 10)).toBe(true)
    })

    it('refused target: the request fails at once, and the connection is used again', async () => {
      expect(await fetches(client, files, 10)).toBe(true)
      const before = client.connections()
      const url = `http://127.0.0.1:${await closedPort()}/`
      const { code } = await curl('-m', '5', '--socks5-hostname', client.proxy, url)
      // It waits for the SYNACK before it tells its program that the tunnel stands.
      expect(code).toBe(97)
      const reports = tracedFrames(server.program).filter(
        ({ command, data }) => command === Command.SynAck && data !== '',
      )
      expect(reports).toHaveLength(1)
      expect(await fetches(client, files, 10)).toBe(true)
      expect(client.connections()).toBe(before)
    })

    it('slow target: a SYNACK that takes four seconds harms neither its stream nor another', async () => {
      const tunnel = openTunnel(client, await startSlowEcho())
      for (let request = 0; request < 20; request += 1) {
        expect(await fetches(client, files, 1_000)).toBe(true)
      }
      const slow = await tunnel
      slow.write('patience')
      expect(String(await readExactly(slow, 8))).toBe('patience')
      slow.destroy()
    })

    describeTraffic(() => ({ client, files, go: server.program }))

    it('server restart: a request while it is away fails, and the next one works when it is back', async () => {
      expect(await fetches(client, files, 10)).toBe(true)
      await stop(server.program)
      const { code } = await curl('--socks5-hostname', client.proxy, files.url(10))
      expect(code).not.toBe(0)
      server = await startGoServer({ port: server.port })
      expect(await fetches(client, files, 100_000)).toBe(true)
    })
  },
)
