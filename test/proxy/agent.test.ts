import { once } from 'node:events'
import http from 'node:http'
import https from 'node:https'
import { describe, expect, it } from 'vitest'
import { createAgents } from '../../src/proxy/agent.ts'
import type { OpenTunnel } from '../../src/proxy/tunnel.ts'
import type { Address } from '../../src/codec/address.ts'
import { makeTestCertificate } from '../support/certificate.ts'
import { takeUncaught } from '../support/uncaught.ts'
import { closedPort, listen, localTunnels, streamPair } from './support.ts'

const lookup = () => Promise.resolve([{ address: '127.0.0.1', family: 4 }])
const targets: Address[] = []
const openTunnel: OpenTunnel = (target, signal) => {
  targets.push(target)
  return localTunnels({ dial: { lookup } })(target, signal)
}
const agents = createAgents(openTunnel)

async function bodyOf(request: http.ClientRequest): Promise<string> {
  const [response] = (await once(request, 'response')) as [http.IncomingMessage]
  response.setEncoding('utf8')
  let body = ''
  for await (const text of response) body += text as string
  return body
}

describe('agents', () => {
  it('http.request goes through a tunnel, its name resolved by the server', async () => {
    const port = await listen(http.createServer((request, response) => request.pipe(response)))
    const request = http.request({ host: 'echo.test', port, method: 'POST', agent: agents.http })
    request.end('hello')
    expect(await bodyOf(request)).toBe('hello')
    expect(targets.at(-1)).toEqual({ host: 'echo.test', port })
  })

  it('https.request verifies the certificate of the target through the tunnel', async () => {
    const { key, cert } = await makeTestCertificate()
    const port = await listen(
      https.createServer({ key, cert }, (request, response) => {
        response.end(request.headers.host)
      }),
    )
    const options = { host: 'localhost', port, agent: agents.https }
    expect(await bodyOf(https.get({ ...options, ca: cert }))).toBe(`localhost:${port}`)
    const [error] = (await once(https.get(options), 'error')) as [NodeJS.ErrnoException]
    expect(error.code).toMatch(/SELF_SIGNED|UNABLE_TO_VERIFY/)
  })

  it('a target that cannot be reached is an error of the request', async () => {
    const port = await closedPort()
    for (const request of [
      http.get({ host: '127.0.0.1', port, agent: agents.http }),
      https.get({ host: '127.0.0.1', port, agent: agents.https }),
    ]) {
      const [error] = (await once(request, 'error')) as [Error]
      expect(error).toMatchObject({ code: 'ERR_STREAM_RESET', reason: 'connection refused' })
    }
  })

  it('a tunnel that is gone before its TLS begins is an error of the request, and of nobody else', async () => {
    const uncaught = takeUncaught()
    const dead = createAgents(() => {
      const [client, server] = streamPair()
      server.on('error', () => {})
      client.on('error', () => {})
      client.destroy()
      return Promise.resolve(client)
    })
    for (const ask of [
      () => http.get({ host: 'dead.test', agent: dead.http }),
      () => https.get({ host: 'dead.test', agent: dead.https }),
    ]) {
      expect(await once(ask(), 'error')).toMatchObject([{ code: 'ERR_STREAM_RESET' }])
    }
    expect(uncaught).toEqual([])
  })

  it('several requests at once have a tunnel each', async () => {
    const server = http.createServer((_request, response) => response.end('ok'))
    let connections = 0
    server.on('connection', () => (connections += 1))
    const port = await listen(server)
    const options = { host: 'many.test', port, agent: agents.http }
    const bodies = Array.from({ length: 5 }, () => bodyOf(http.get(options)))
    expect(await Promise.all(bodies)).toEqual(['ok', 'ok', 'ok', 'ok', 'ok'])
    expect(connections).toBe(5)
  })
})
