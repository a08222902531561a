// undici over tunnels: what its Agent and `fetch` do through them, with undici itself.
import http from 'node:http'
import https from 'node:https'
import type { AddressInfo } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import { Agent, fetch } from 'undici'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createConnector } from '../../src/proxy/connector.ts'
import type { ConnectorOptions } from '../../src/proxy/connector.ts'
import type { OpenTunnel, TunnelStream } from '../../src/proxy/tunnel.ts'
import type { Address } from '../../src/codec/address.ts'
import { makeTestCertificate } from '../support/certificate.ts'
import { takeUncaught } from '../support/uncaught.ts'
import { closedPort, listen, localTunnels, streamPair } from './support.ts'

const lookup = () => Promise.resolve([{ address: '127.0.0.1', family: 4 }])

function makeAgent(options: ConnectorOptions = {}) {
  const targets: Address[] = []
  const openTunnel: OpenTunnel = (target, signal) => {
    targets.push(target)
    return localTunnels({ dial: { lookup } })(target, signal)
  }
  return { targets, dispatcher: agentOf(openTunnel, options) }
}

function agentOf(openTunnel: OpenTunnel, options: ConnectorOptions = {}): Agent {
  const agent = new Agent({ connections: 1, connect: createConnector(openTunnel, options) })
  onTestFinished(() => agent.destroy())
  return agent
}

/** Tunnels that come when a test says so, whatever becomes of the signal. */
function heedless() {
  let resolve!: (tunnel: TunnelStream) => void
  let reject!: (error: Error) => void
  const promise = new Promise<TunnelStream>((...both) => ([resolve, reject] = both))
  return { openTunnel: () => promise, resolve, reject }
}

describe('undici', () => {
  it('fetch goes through a tunnel, which carries several requests, with bodies', async () => {
    const server = http.createServer((request, response) => request.pipe(response))
    const port = await listen(server)
    const { targets, dispatcher } = makeAgent()
    for (const body of ['one', 'x'.repeat(300_000)]) {
      const response = await fetch(`http://echo.test:${port}/`, {
        ...{ method: 'POST', body, dispatcher },
      })
      expect(await response.text()).toBe(body)
    }
    expect(targets).toEqual([{ host: 'echo.test', port }])
  })

  it('https: the certificate of the target is verified through the tunnel', async () => {
    const { key, cert } = await makeTestCertificate()
    const server = https.createServer({ key, cert }, (request, response) => {
      response.end(request.headers.host)
    })
    const port = await listen(server)
    const url = `https://localhost:${port}/`
    const { dispatcher } = makeAgent({ tls: { ca: cert } })
    expect(await (await fetch(url, { dispatcher })).text()).toBe(`localhost:${port}`)
    await expect(fetch(url, makeAgent())).rejects.toMatchObject({
      cause: { code: expect.stringMatching(/SELF_SIGNED|UNABLE_TO_VERIFY/) as unknown },
    })
  })

  it('an address of IPv6 has no brackets where it is dialled', async () => {
    const server = http.createServer((_request, response) => response.end('ok'))
    server.listen(0, '::1')
    await new Promise((resolve) => server.once('listening', resolve))
    onTestFinished(() => void server.close())
    const { port } = server.address() as AddressInfo
    const { targets, dispatcher } = makeAgent()
    await fetch(`http://[::1]:${port}/`, { dispatcher }).catch(() => {})
    expect(targets).toEqual([{ host: '::1', port }])
  })

  it('a target that cannot be reached is the cause of what fetch throws', async () => {
    const { dispatcher } = makeAgent()
    for (const scheme of ['http', 'https']) {
      const failing = fetch(`${scheme}://127.0.0.1:${await closedPort()}/`, { dispatcher })
      await expect(failing).rejects.toMatchObject({ cause: { code: 'ERR_STREAM_RESET' } })
    }
  })

  it('a tunnel or a handshake that takes too long is given up, and nothing is uncaught', async () => {
    const uncaught = takeUncaught()
    const never: OpenTunnel = (_target, signal) => {
      return new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason as Error))
      })
    }
    const silent: OpenTunnel = () => {
      const [client, server] = streamPair()
      server.on('error', () => {})
      client.on('error', () => {})
      return Promise.resolve(client)
    }
    for (const openTunnel of [never, silent]) {
      const dispatcher = agentOf(openTunnel, { timeout: 50 })
      await expect(fetch('https://late.test/', { dispatcher })).rejects.toMatchObject({
        cause: { code: 'ERR_DIAL_TIMEOUT' },
      })
    }
    expect(uncaught).toEqual([])
  })

  it('a tunnel that is opened without heed to the limit is not waited for, and destroyed when it comes', async () => {
    for (const protocol of ['http:', 'https:']) {
      const opening = heedless()
      const connect = createConnector(opening.openTunnel, { timeout: 20 })
      const results: unknown[] = []
      connect({ hostname: 'late.test', port: '', protocol }, (...result) => results.push(result))
      await setTimeout(100)
      const failure = [expect.objectContaining({ code: 'ERR_DIAL_TIMEOUT' }), null]
      expect(results).toEqual([failure])
      const [late, far] = streamPair()
      far.on('error', () => {})
      opening.resolve(late)
      await setTimeout(0)
      expect(late.destroyed).toBe(true)
      expect(results).toHaveLength(1)
    }
  })

  it('a tunnel that fails behind the limit without heed to it is nobody’s affair', async () => {
    const uncaught = takeUncaught()
    const opening = heedless()
    const dispatcher = agentOf(opening.openTunnel, { timeout: 20 })
    await expect(fetch('http://late.test/', { dispatcher })).rejects.toMatchObject({
      cause: { code: 'ERR_DIAL_TIMEOUT' },
    })
    opening.reject(new Error('late'))
    await setTimeout(0)
    expect(uncaught).toEqual([])
  })

  it('a tunnel may take as long as it does where there is no limit', async () => {
    const port = await listen(http.createServer((_request, response) => response.end('late')))
    const openTunnel: OpenTunnel = async (target, signal) => {
      await setTimeout(20)
      signal.throwIfAborted()
      return localTunnels({ dial: { lookup } })(target, signal)
    }
    const dispatcher = agentOf(openTunnel, { timeout: Infinity })
    const response = await fetch(`http://late.test:${port}/`, { dispatcher })
    expect(await response.text()).toBe('late')
  })

  it('an aborted request gives its tunnel back', async () => {
    const server = http.createServer(() => {})
    const port = await listen(server)
    const { dispatcher } = makeAgent()
    const closed = new Promise((resolve) => {
      server.once('connection', (socket) => socket.once('close', resolve))
    })
    const signal = AbortSignal.timeout(200)
    await expect(fetch(`http://slow.test:${port}/`, { dispatcher, signal })).rejects.toThrow(
      /timeout|aborted/i,
    )
    await closed
  })
})
