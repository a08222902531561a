// Three servers behind HAProxy as deploy/haproxy.cfg has it, clients, and requests all the time. Also for
// bench/failover.ts.
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import { createConnection } from 'node:net'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { runProgram, stop } from '../cli/run-program.ts'
import type { Program } from '../cli/run-program.ts'
import { writeCertificateFiles } from '../../bench/certificate-files.ts'
import { closedPort } from '../proxy/support.ts'
import { startMiddlebox } from './middlebox.ts'
import type { Middlebox } from './middlebox.ts'

const PASSWORD = 'correct horse'

/** Of what HAProxy serves: the names of servers and their addresses in deploy/haproxy.cfg. */
const PLACES = ['192.0.2.11:443', '192.0.2.12:443', '192.0.2.13:443']

/** A request that went wrong. */
export interface Failure {
  /** When it was made, in milliseconds of the monotonic clock. */
  readonly at: number
  readonly problem: string
}

/** How a fleet differs from servers and clients that know one password. */
export interface FleetOptions {
  /** What each server is called with in addition. */
  readonly server?: readonly string[]
  /** Where the users are, instead of the password. */
  readonly users?: string
  /** What each client is called with in addition. */
  readonly client?: readonly string[]
  /** The password of each client, where they are several. */
  readonly passwords?: readonly string[]
}

export class FleetServer {
  readonly #args: readonly string[]
  readonly #environment: NodeJS.ProcessEnv
  /** For what it keeps. */
  readonly folder: string
  /** `HOST:PORT` of its admin server. */
  readonly admin: string
  program: Program | undefined

  constructor(
    folder: string,
    admin: string,
    args: readonly string[],
    environment: NodeJS.ProcessEnv,
  ) {
    this.folder = folder
    this.admin = admin
    this.#args = args
    this.#environment = environment
  }

  async start(): Promise<Program> {
    const program = (this.program = runProgram(this.#args, this.#environment))
    await program.said(/listening on/)
    return program
  }

  /** Ends it as a restart does, and starts it again. */
  async restart(): Promise<void> {
    this.program?.child.kill('SIGTERM')
    const ended = await this.program?.ended
    if (ended?.code !== 0) throw new Error(`a server ended with ${JSON.stringify(ended)}`)
    await this.start()
  }

  async kill(): Promise<void> {
    if (this.program !== undefined) await stop(this.program)
  }
}

/** All of it; `close` ends everything. */
export class Fleet {
  readonly servers: FleetServer[] = []
  readonly #body = randomBytes(4_096)
  readonly #origin = http.createServer((request, response) => {
    // Some take a while, as answers do: they are under way when a server is told to stop.
    setTimeout(() => response.end(this.#body), Number(request.url?.slice(1)))
  })
  balancer: ChildProcess | undefined
  readonly clients: Program[] = []
  /** What stands between each client and HAProxy. */
  readonly lines: Middlebox[] = []
  /** The ports that the clients serve programs on. */
  readonly proxies: number[] = []
  #haproxy: readonly [program: string, config: string] = ['', '']
  #target = 0
  #stats = ''
  #pin = ''

  /**
   * @param folder for what they keep
   * @param clients how many: each has its sessions at another server
   */
  async start(
    haproxy: string,
    folder: string,
    clients: number,
    options: FleetOptions = {},
  ): Promise<void> {
    const front = await this.startServers(haproxy, folder, options)
    await this.startClients(front, folder, clients, options)
  }

  /** @returns the port of HAProxy */
  async startServers(
    haproxy: string,
    folder: string,
    { server: more = [], users }: FleetOptions = {},
  ): Promise<number> {
    this.#origin.listen(0, '127.0.0.1')
    await once(this.#origin, 'listening')
    this.#target = (this.#origin.address() as AddressInfo).port
    const front = await closedPort()
    let config = readFileSync(join(import.meta.dirname, '../../deploy/haproxy.cfg'), 'utf8')
    config = replaced(config, '  bind :443\n  bind [::]:443\n', `  bind 127.0.0.1:${front}\n`)
    config = replaced(config, 'check port 9000', 'check')
    this.#stats = join(folder, 'haproxy.sock')
    config = replaced(config, '/run/haproxy/admin.sock mode', `${this.#stats} mode`)
    const { cert, key, pin } = await writeCertificateFiles(folder)
    this.#pin = pin
    const environment =
      users === undefined ? { ANYTLS_PASSWORD: PASSWORD } : { ANYTLS_USERS: users }
    for (const [index, place] of PLACES.entries()) {
      const [port, admin] = [await closedPort(), `127.0.0.1:${await closedPort()}`]
      config = replaced(config, place, `127.0.0.1:${port} port ${admin.split(':')[1]}`)
      const kept = join(folder, `server-${index}`)
      mkdirSync(kept, { recursive: true })
      const args = [
        ...['server', '-l', `127.0.0.1:${port}`, '--admin', admin, '--cert', cert, '--key', key],
        ...['--accept-proxy-protocol', '127.0.0.1', '--state-dir', kept, '--drain-time', '2'],
        ...['--no-link', ...more],
      ]
      const server = new FleetServer(kept, admin, args, environment)
      this.servers.push(server)
      await server.start()
    }
    writeFileSync(join(folder, 'haproxy.cfg'), config)
    this.#haproxy = [haproxy, join(folder, 'haproxy.cfg')]
    this.startBalancer()
    await sleep(300)
    return front
  }

  startBalancer(): void {
    const [program, config] = this.#haproxy
    this.balancer = spawn(program, ['-db', '-f', config], { stdio: 'inherit' })
  }

  async startClients(
    front: number,
    folder: string,
    clients: number,
    { client: more = [], passwords = [] }: FleetOptions = {},
  ): Promise<void> {
    for (let count = 0; count < clients; count += 1) {
      const line = await startMiddlebox(front)
      this.lines.push(line)
      const server = ['-s', `127.0.0.1:${line.port}`, '--pin', this.#pin, ...more]
      const client = runProgram(
        ['client', '-l', '127.0.0.1:0', ...server, '--state-dir', join(folder, `client-${count}`)],
        { ANYTLS_PASSWORD: passwords[count] ?? PASSWORD },
      )
      this.clients.push(client)
      const [, port] = await client.said(/listening on 127\.0\.0\.1:(\d+)/)
      this.proxies.push(Number(port))
    }
  }

  /** What the clients have logged. */
  clientLogs(): readonly string[] {
    return this.clients.flatMap((client) => client.stderr().trim().split('\n'))
  }

  /** Resolves when HAProxy takes all servers for well. */
  async allUp(): Promise<void> {
    for (;;) {
      // Until it has started there is nothing to ask.
      const states = await this.#serverStates().catch(() => [])
      if (states.length === PLACES.length && states.every((state) => state === 'UP')) return
      await sleep(50)
    }
  }

  /**
   * One request through all of it.
   *
   * @param loop whose it is: each has its client
   * @param delay how long the answer takes, in milliseconds
   * @throws Error when it is not answered in full
   */
  ask(loop: number, delay: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const asked = http.get(
        {
          host: '127.0.0.1',
          port: this.proxies[loop % this.proxies.length],
          path: `http://127.0.0.1:${this.#target}/${delay}`,
          agent: false,
          timeout: 15_000,
        },
        (response) => {
          const chunks: Buffer[] = []
          response.on('data', (chunk: Buffer) => chunks.push(chunk))
          response.on('error', reject)
          response.on('end', () => {
            const isWhole = Buffer.concat(chunks).equals(this.#body)
            if (response.statusCode === 200 && isWhole) resolve()
            else reject(new Error(`status ${response.statusCode}, whole: ${isWhole}`))
          })
        },
      )
      asked.on('error', reject).on('timeout', () => asked.destroy(new Error('no answer in 15 s')))
    })
  }

  async close(): Promise<void> {
    this.balancer?.kill('SIGKILL')
    await Promise.all(this.clients.map((client) => stop(client)))
    await Promise.all(this.servers.map((server) => server.kill()))
    await Promise.all(this.lines.map((line) => line.stop()))
    this.#origin.closeAllConnections()
    this.#origin.close()
  }

  async #serverStates(): Promise<readonly string[]> {
    const socket = createConnection(this.#stats)
    socket.end('show stat\n')
    let text = ''
    for await (const chunk of socket.setEncoding('utf8') as AsyncIterable<string>) text += chunk
    const rows = text.split('\n').map((line) => line.split(','))
    const status = rows[0]?.indexOf('status') ?? -1
    return rows
      .filter(([backend, server]) => backend === 'servers' && server !== 'BACKEND')
      .map((row) => row[status] ?? '')
  }
}

/** Requests one after the other in each of several loops, until it is stopped. */
export class Load {
  answered = 0
  readonly failures: Failure[] = []
  /** When the last request of each loop that was answered was made, and when it was answered. */
  readonly #answers: { readonly begun: number; readonly at: number }[]
  readonly #loops: Promise<void>[]
  #stopped = false

  constructor(fleet: Fleet, loops: number) {
    this.#answers = Array.from({ length: loops }, () => ({ begun: 0, at: 0 }))
    this.#loops = this.#answers.map((_, index) => this.#loop(fleet, index))
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await Promise.all(this.#loops)
  }

  /** For each loop, how long after `moment` a request was answered that was made after it, in milliseconds. */
  recoveries(moment: number): Promise<readonly number[]> {
    return Promise.all(
      this.#answers.map(async (_, index) => {
        for (;;) {
          const { begun, at } = this.#answers[index] ?? { begun: 0, at: 0 }
          if (begun >= moment) return at - moment
          await sleep(5)
        }
      }),
    )
  }

  async #loop(fleet: Fleet, index: number): Promise<void> {
    for (let count = index; !this.#stopped; count += 1) {
      const begun = performance.now()
      try {
        await fleet.ask(index, (count * 37) % 200)
        this.answered += 1
        this.#answers[index] = { begun, at: performance.now() }
      } catch (error) {
        this.failures.push({ at: begun, problem: String(error) })
        await sleep(20)
      }
    }
  }
}

function replaced(text: string, from: string, to: string): string {
  if (!text.includes(from)) throw new Error(`deploy/haproxy.cfg has no ${JSON.stringify(from)}`)
  return text.replace(from, to)
}
