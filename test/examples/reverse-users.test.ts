// The example of a reverse tunnel with users: whose service is behind which port, and who gets none.

import { writeFileSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { fetch } from 'undici'
import { stop } from '../cli/run-program.ts'
import { listen } from '../proxy/support.ts'
import { certificateFlags, clientFlags, portOf, runExample } from './run-example.ts'

it(
  'each user has a port, and behind it the service of their own end',
  { timeout: 40_000 },
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'users-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const file = join(folder, 'users.json')
    const user = (name: string) => ({ name, password: `that of ${name}`, public: '127.0.0.1:0' })
    writeFileSync(file, JSON.stringify([user('alice'), user('bob')]))

    const server = runExample('reverse-users', [
      ...['--listen', '127.0.0.1:0', '--users', file],
      ...certificateFlags,
    ])
    const tunnel = await portOf(server, 'tunnel')
    const ports = { alice: await portOf(server, 'alice'), bob: await portOf(server, 'bob') }
    const connectEnd = async (password: string, answer: string) => {
      const service = await listen(createServer((_request, response) => response.end(answer)))
      return runExample(
        'reverse-client',
        ['--connect', `127.0.0.1:${tunnel}`, '--to', `127.0.0.1:${service}`, ...clientFlags('v1')],
        { ANYTLS_PASSWORD: password },
      )
    }
    const get = async (name: 'alice' | 'bob') =>
      (await fetch(`http://127.0.0.1:${ports[name]}/`, { keepalive: false })).text()

    const alice = await connectEnd('that of alice', "alice's service")
    await server.said(/an end of alice has connected/)
    expect(await get('alice')).toBe("alice's service")
    await expect(get('bob')).rejects.toThrow()

    await connectEnd('that of bob', "bob's service")
    await server.said(/an end of bob has connected/)
    expect([await get('alice'), await get('bob')]).toEqual(["alice's service", "bob's service"])

    const stranger = await connectEnd('that of nobody', 'a trap')
    await stranger.said(/wrong password/)
    expect([await get('alice'), await get('bob')]).toEqual(["alice's service", "bob's service"])

    await stop(alice)
    await server.said(/an end of alice has gone/)
    await expect(get('alice')).rejects.toThrow()
    expect(await get('bob')).toBe("bob's service")
  },
)
