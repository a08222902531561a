// This package, in the ways worth comparing.
import { connect, createServer } from '../../src/index.ts'
import type { ConnectOptions } from '../../src/index.ts'
import { MemorySchemeStore } from '../../src/shaping/scheme-store.ts'
import { parseScheme } from '../../src/shaping/scheme.ts'
import type { Peer } from '../peer.ts'

const password = 'bench'

function anytls(name: string, options: Partial<ConnectOptions>, schemeText?: string): Peer {
  const scheme = schemeText === undefined ? {} : { scheme: parseScheme(schemeText) }
  return {
    name,
    halfClose: options.mux1 !== false && options.wire !== 'legacy',
    listen: ({ key, cert }, serve) =>
      new Promise((resolve) => {
        const server = createServer({ key, cert, password, maxStreams: 100_000, ...scheme }, serve)
        server.listen(0, '127.0.0.1', () => resolve(server.address().port))
      }),
    connect: async (port) => {
      const session = await connect({
        host: '127.0.0.1',
        port,
        password,
        insecure: true,
        maxStreams: 100_000,
        schemeStore: new MemorySchemeStore(),
        ...scheme,
        ...options,
      })
      return {
        openStream: () => session.openStream(),
        close: () => {
          session.destroy()
          return Promise.resolve()
        },
      }
    },
  }
}

export const anytlsMux1 = anytls('anytls', {})
export const anytlsDraft = anytls('anytls, draft alone', { mux1: false })
export const anytlsLegacy = anytls('original AnyTLS', { wire: 'legacy' })
export const anytlsUnshaped = anytls('anytls, never shaped', {}, 'stop=0')
