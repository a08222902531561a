// The reverse tunnel example: a web server that only the end behind NAT can reach, fetched with curl at the
// public end, on every wire.

import { randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import net from 'node:net'
import { describe, expect, it } from 'vitest'
import { stop } from '../cli/run-program.ts'
import { closedPort, closing, connectTo, curl, listen, readAll } from '../proxy/support.ts'
import { requireProgram } from '../support/programs.ts'
import { clientFlags, portOf, runExample, serverFlags, WIRES } from './run-example.ts'
import type { Wire } from './run-example.ts'

const curlProgram = requireProgram('curl')

const FILE = randomBytes(1 << 20)

describe.skipIf(curlProgram.isMissing)(
  `examples: reverse tunnel${curlProgram.note}`,
  { timeout: 40_000 },
  () => {
    it.for(WIRES)('on %s a web server behind it answers several requests at once', async (wire) => {
      const { url, connectEnd } = await startPublicEnd(wire)
      await connectEnd(await startService('service'))
      await expectAnswers(url, 'service')
      await expectAnswers(url, 'service')
    })

    it.for(WIRES)(
      'on %s the end behind NAT may be started again, and the service is back',
      async (wire) => {
        const { program, url, connectEnd } = await startPublicEnd(wire)
        const first = await connectEnd(await startService('first'))
        await expectAnswers(url, 'first')
        await stop(first)
        await program.said(/an end has gone/)
        const { code } = await curl(url)
        expect([52, 56]).toContain(code)

        await connectEnd(await startService('second'))
        await expectAnswers(url, 'second')
      },
    )

    it('the end that came last serves, and the one before it takes over when it goes', async () => {
      const { url, connectEnd, program } = await startPublicEnd('netmux')
      await connectEnd(await startService('first'))
      const second = await connectEnd(await startService('second'))
      await expectAnswers(url, 'second')
      await stop(second)
      await program.said(/an end has gone/)
      await expectAnswers(url, 'first')
    })

    it.for(WIRES)(
      'on %s the end behind NAT connects again when the public end comes back',
      async (wire) => {
        const first = await startPublicEnd(wire)
        const end = await first.connectEnd(await startService('service'))
        await expectAnswers(first.url, 'service')
        await stop(first.program)
        await end.said(/the connection has ended/)

        const { program, url } = await startPublicEnd(wire, first.port)
        await program.said(/an end has connected/)
        await expectAnswers(url, 'service')
      },
    )

    it('a visitor is hung up on when the service is not there', async () => {
      const { url, connectEnd } = await startPublicEnd('netmux')
      const end = await connectEnd(await closedPort())
      const { code } = await curl(url)
      expect([52, 56]).toContain(code)
      await end.said(/could not be reached/)
    })

    it('half-close: a service that answers at the end of what it is told does so through net-mux', async () => {
      const counting = net.createServer({ allowHalfOpen: true }, (socket) => {
        void readAll(socket).then((request) => socket.end(String(request.length)))
      })
      const { publicPort, connectEnd } = await startPublicEnd('netmux')
      await connectEnd(await listen(counting))
      const visitor = await connectTo(publicPort)
      const over = closing(visitor)
      visitor.end(FILE)
      expect(String(await readAll(visitor))).toBe(String(FILE.length))
      await over
    })
  },
)

/** The public end as a program, on free ports unless the tunnel's is given. */
async function startPublicEnd(wire: Wire, tunnelPort = 0) {
  const program = runExample('reverse-server', [
    ...['--listen', `127.0.0.1:${tunnelPort}`, '--public', '127.0.0.1:0'],
    ...serverFlags(wire),
  ])
  const port = await portOf(program, 'tunnel')
  const publicPort = await portOf(program, 'public')
  let ends = 0
  return {
    program,
    port,
    publicPort,
    url: `http://127.0.0.1:${publicPort}/`,
    /** Starts an end behind NAT for the service on `servicePort`, and waits until it is connected. */
    connectEnd: async (servicePort: number) => {
      const end = runExample('reverse-client', [
        ...['--connect', `127.0.0.1:${port}`, '--to', `127.0.0.1:${servicePort}`],
        ...clientFlags(wire),
      ])
      await end.said(/connected to/)
      ends += 1
      await program.said(new RegExp(`(?:an end has connected[^]*){${ends}}`))
      return end
    },
  }
}

/** A web server that gives its name at `/name` and {@link FILE} elsewhere. */
function startService(name: string): Promise<number> {
  return listen(
    createServer((request, response) => response.end(request.url === '/name' ? name : FILE)),
  )
}

/** Six requests at once, half of them for 1 MiB. */
async function expectAnswers(url: string, name: string): Promise<void> {
  const each = async (_: unknown, index: number) => {
    const [path, expected] = index % 2 === 0 ? ['name', Buffer.from(name)] : ['file', FILE]
    const { code, stdout, stderr } = await curl('-f', `${url}${path}`)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout.equals(expected as Buffer)).toBe(true)
  }
  await Promise.all(Array.from({ length: 6 }, each))
}
