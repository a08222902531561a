// An admin server for tests: on loopback, for a server with users.
import { once } from 'node:events'
import { request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'
import { AdminServer } from '../../../src/serve/admin/admin-server.ts'
import { Observer } from '../../../src/serve/admin/observer.ts'
import { makeTestCertificate } from '../../support/certificate.ts'
import { openStore, startUsersServer } from '../support.ts'

export interface Asked {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly text: string
  readonly json: Record<string, unknown>
}

export async function startTestAdmin(
  options: { readonly token?: string; readonly names?: readonly string[] } = {},
) {
  const { store } = await openStore()
  const server = await startUsersServer(store)
  const failures: unknown[] = []
  const { cert } = await makeTestCertificate()
  const admin = new AdminServer({
    token: options.token,
    names: options.names ?? [],
    observer: new Observer(server.server, server.accounts),
    store,
    endpoint: () => ({ host: 'proxy.example', port: 443, sni: undefined, pin: undefined }),
    certificate: () => cert,
    failed: (error) => failures.push(error),
  })
  admin.http.listen(0, '127.0.0.1')
  await once(admin.http, 'listening')
  onTestFinished(() => admin.close())
  const { port } = admin.http.address() as AddressInfo

  /** Asks with Node's own client, which sends any header as it is. */
  const ask = (
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Asked> =>
    new Promise((resolve, reject) => {
      const text = typeof body === 'string' ? body : body === undefined ? '' : JSON.stringify(body)
      const type = body === undefined ? {} : { 'content-type': 'application/json' }
      const length = { 'content-length': String(Buffer.byteLength(text)) }
      const asked = request({
        port,
        host: '127.0.0.1',
        method,
        path,
        headers: { ...type, ...length, ...headers },
        agent: false,
      })
      asked.on('error', reject).on('response', (response) => {
        let answer = ''
        response.setEncoding('utf8').on('data', (chunk: string) => (answer += chunk))
        response.on('end', () => {
          const isJson = response.headers['content-type'] === 'application/json'
          const json = (isJson && answer !== '' ? JSON.parse(answer) : {}) as Record<
            string,
            unknown
          >
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            text: answer,
            json,
          })
        })
      })
      asked.end(text)
    })
  return { admin, server, store, port, ask, failures }
}
