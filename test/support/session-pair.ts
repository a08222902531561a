// A client and a server session on two Duplexes in memory, with one fake clock; and a peer that speaks
// in hand-made frames.
import { EventEmitter, once } from 'node:events'
import type { Duplex } from 'node:stream'
import { onTestFinished } from 'vitest'
import { hashPassword } from '../../src/tls/session-options.ts'
import { anyTlsClient } from '../../src/wires/anytls/client.ts'
import { DEFAULT_MAX_STREAMS, DEFAULT_TIMEOUTS } from '../../src/wires/anytls/config.ts'
import type { ConnectionConfig, ServerConfig, Timeouts } from '../../src/wires/anytls/config.ts'
import { makeFrameDecoder } from '../../src/wires/anytls/frame-decoder.ts'
import type { Frame } from '../../src/wires/anytls/frame.ts'
import { anyTlsServer } from '../../src/wires/anytls/server.ts'
import { Session } from '../../src/session/session.ts'
import type { SessionOptions } from '../../src/session/session.ts'
import type { Stream } from '../../src/session/stream.ts'
import { parseScheme } from '../../src/shaping/scheme.ts'
import type { Scheme } from '../../src/shaping/scheme.ts'
import { createDuplexPair } from './duplex-pair.ts'
import type { DuplexPairOptions, PairEnd } from './duplex-pair.ts'
import { FakeClock } from './fake-clock.ts'
import { steadyRandomInt } from './seeded-random.ts'

/** Nothing is shaped but Deliver 0, which has no padding. */
export const PLAIN_SCHEME: Scheme = parseScheme('stop=1')

export interface PairOptions {
  readonly mux1?: boolean
  /** Of a stream with mux1, in bytes. Default: 262,144, and no more. */
  readonly window?: number
  readonly timeouts?: Partial<Timeouts>
  readonly scheme?: Scheme
  readonly maxStreams?: number
  readonly clock?: FakeClock
  readonly pair?: DuplexPairOptions
  readonly server?: Partial<ServerConfig>
  /** For both sessions. */
  readonly session?: Pick<SessionOptions, 'autoAccept' | 'stallTimeout' | 'onHandover'>
}

export interface SessionPair {
  readonly client: Session
  readonly server: Session
  readonly clientEnd: PairEnd
  readonly serverEnd: PairEnd
  readonly clock: FakeClock
  /** Opens a stream and waits until the server has been told of it: the client's end, the server's. */
  readonly open: () => Promise<[Stream, Stream]>
}

/** Both ends; streams are served by `onStream`, by default by nobody until {@link SessionPair.open}. */
export function makeSessionPair(options: PairOptions = {}): SessionPair {
  const clock = options.clock ?? new FakeClock()
  const [clientEnd, serverEnd] = createDuplexPair(options.pair)
  const server = new Session({
    duplex: serverEnd,
    machine: anyTlsServer(makeServerConfig(options), clock.now()),
    clock,
    ...options.session,
  })
  const client = makeClient(clientEnd, { ...options, clock })
  const arrived: Stream[] = []
  const known: Stream[] = []
  server.on('stream', (stream) => {
    arrived.push(stream)
    known.push(stream)
  })
  onTestFinished(() => {
    // What a test leaves on its way is cut off with the sessions, which is nobody's affair any more.
    for (const stream of known) stream.on('error', () => {})
    // The client first: its streams would have to tell nobody of the server's end.
    client.destroy()
    server.destroy()
  })
  return {
    client,
    server,
    clientEnd,
    serverEnd,
    clock,
    async open() {
      const opened = client.openStream()
      known.push(opened)
      while (arrived.length === 0) await once(server, 'stream')
      return [opened, arrived.shift()!]
    },
  }
}

/** A client session alone; the test that makes it ends it. */
export function makeClient(duplex: Duplex, options: PairOptions = {}): Session {
  const clock = options.clock ?? new FakeClock()
  return new Session({
    duplex,
    machine: anyTlsClient(makeConfig(options), clock.now()),
    clock,
    ...options.session,
  })
}

function makeConfig(options: PairOptions = {}): ConnectionConfig {
  return {
    passwordHash: hashPassword('secret'),
    scheme: options.scheme ?? PLAIN_SCHEME,
    name: 'test/1',
    randomInt: steadyRandomInt(1),
    timeouts: { ...DEFAULT_TIMEOUTS, ...options.timeouts },
    mux1Window: options.mux1 === false ? undefined : (options.window ?? 262_144),
    maxStreams: options.maxStreams ?? DEFAULT_MAX_STREAMS,
  }
}

export function makeServerConfig(options: PairOptions = {}): ServerConfig {
  return {
    ...makeConfig(options),
    onViolation: 'alert',
    downlinkScheme: undefined,
    ...options.server,
  }
}

/** A peer made by hand: sends bytes as they are given, and reads frames. */
export class FramePeer {
  readonly frames: Frame[] = []
  readonly duplex: Duplex
  readonly #decoder = makeFrameDecoder()
  readonly #events = new EventEmitter<{ frames: [] }>()

  constructor(duplex: Duplex) {
    this.duplex = duplex
    duplex.on('error', () => {})
    duplex.on('end', () => duplex.end())
    duplex.on('data', (chunk: Buffer) => {
      this.#decoder.push(chunk)
      for (let frame = this.#decoder.next(); frame !== undefined; frame = this.#decoder.next()) {
        this.frames.push(frame)
      }
      this.#events.emit('frames')
    })
  }

  send(...frames: readonly Uint8Array[]): void {
    this.duplex.write(Buffer.concat(frames))
  }

  /** Waits until a frame of that type has come; frames may have come before it was asked for. */
  async received<T extends Frame['type']>(type: T): Promise<Extract<Frame, { type: T }>> {
    for (;;) {
      const found = this.frames.find((frame) => frame.type === type)
      if (found !== undefined) return found as Extract<Frame, { type: T }>
      await once(this.#events, 'frames')
    }
  }

  count(type: Frame['type']): number {
    return this.frames.filter((frame) => frame.type === type).length
  }
}
