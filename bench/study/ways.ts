// The ways of loading pages: directly, through our tunnel under a scheme, through sing-anytls at both ends.
import { fork, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { makeTestCertificate } from '../../test/support/certificate.ts'
import { builtGoProgram } from '../go-peer.ts'
import { PASSWORD } from './tunnel.ts'
import type { Answer, Order } from './tunnel.ts'

/** One way of loading pages. */
export interface Way {
  readonly name: string
  /** Records of the server's TLS that look like data, behind the client's: its session tickets. */
  readonly tickets: number
  /** Where the relays lead to. */
  readonly target: number
  /**
   * A client of its own for a page, through the relays that listen on `port`.
   * @returns what the browser is told to use, if anything, and how to end it
   */
  begin(port: number): Promise<{ proxy?: string; end(): Promise<void> }>
}

/** How a tunnel of ours is made. */
interface Tunnel {
  readonly wire?: 'v1' | 'legacy'
  /** Text of the scheme of the client's direction. */
  readonly up: string
  /** Of the server's; absent: unshaped. */
  readonly down?: string
  /** Heartbeats come after 15 s of silence, always, instead of after a time that is drawn. */
  readonly fixedKeepalive?: boolean
}

export class Ways {
  readonly #children = new Set<ChildProcess>()
  readonly #certificate: { readonly key: string; readonly cert: string }
  readonly #files: { readonly key: string; readonly cert: string }

  static async make(folder: string): Promise<Ways> {
    return new Ways(folder, await makeTestCertificate())
  }

  private constructor(folder: string, certificate: { key: string; cert: string }) {
    this.#certificate = certificate
    this.#files = { key: join(folder, 'tunnel-key.pem'), cert: join(folder, 'tunnel-cert.pem') }
    writeFileSync(this.#files.key, certificate.key, { mode: 0o600 })
    writeFileSync(this.#files.cert, certificate.cert)
  }

  directly(name: string, site: number): Way {
    const nothing = { end: () => Promise.resolve() }
    return { name, tickets: 2, target: site, begin: () => Promise.resolve(nothing) }
  }

  /** A tunnel of ours: one server for all pages, a client for each. */
  async through(name: string, tunnel: Tunnel): Promise<Way> {
    const { wire = 'v1', up: scheme, down, fixedKeepalive = false } = tunnel
    const { key, cert } = this.#certificate
    const server = order(this.#forked())
    const target = await server({ kind: 'server', key, cert, up: scheme, down, fixedKeepalive })
    const client = order(this.#forked())
    return {
      name,
      tickets: 2,
      target,
      async begin(port) {
        const dial = { kind: 'client', wire, port, ca: cert, scheme, fixedKeepalive } as const
        const listening = await client(dial)
        return {
          proxy: `socks5://127.0.0.1:${listening}`,
          async end() {
            await client({ kind: 'close', port: listening })
          },
        }
      },
    }
  }

  /** The Go module of the original wire at both ends; it sends one ticket. */
  async throughGo(name: string): Promise<Way> {
    const program = builtGoProgram()
    const { key, cert } = this.#files
    const keys = ['-key', key, '-cert', cert]
    const server = await this.#announced(program, ['server', ...keys, '-password', PASSWORD])
    return {
      name,
      tickets: 1,
      target: server.port,
      begin: async (port) => {
        const flags = ['-server', `127.0.0.1:${port}`, '-ca', cert, '-password', PASSWORD]
        const client = await this.#announced(program, ['client', ...flags])
        return {
          proxy: `socks5://127.0.0.1:${client.port}`,
          end: async () => {
            client.child.kill()
            await once(client.child, 'exit')
            this.#children.delete(client.child)
          },
        }
      },
    }
  }

  stop(): void {
    for (const child of this.#children) child.kill()
  }

  #forked(): ChildProcess {
    const child = fork(join(import.meta.dirname, 'tunnel.ts'), { execArgv: process.execArgv })
    this.#children.add(child)
    return child
  }

  /** Starts a program that says `listening on HOST:PORT`. */
  async #announced(program: string, args: readonly string[]) {
    const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] })
    this.#children.add(child)
    let said = ''
    const port = await new Promise<number>((resolve, reject) => {
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        said += text
        const found = /listening on \S+:(\d+)/.exec(said)?.[1]
        if (found !== undefined) resolve(Number(found))
      })
      child.once('exit', () => reject(new Error(`${program} has ended: ${said}`)))
    })
    return { child, port }
  }
}

/** Several orders may be under way: answers carry their number. */
function order(child: ChildProcess): (order: Order) => Promise<number> {
  const waiting = new Map<
    number,
    { resolve: (port: number) => void; reject: (error: Error) => void }
  >()
  let last = 0
  child.on('message', ({ id, port, error }: Answer) => {
    if (error === undefined) waiting.get(id)?.resolve(port)
    else waiting.get(id)?.reject(new Error(error))
    waiting.delete(id)
  })
  child.once('exit', () => {
    for (const { reject } of waiting.values()) reject(new Error('one end of the tunnel has ended'))
  })
  return (order) =>
    new Promise((resolve, reject) => {
      waiting.set((last += 1), { resolve, reject })
      child.send({ ...order, id: last })
    })
}
