// What the tests of the frames and of the two machines share: vectors with runs, machines that show
// their state, and a driver that gathers what they say.
import { hashPassword } from '../../../src/tls/session-options.ts'
import { clientRole } from '../../../src/wires/anytls/client.ts'
import { DEFAULT_MAX_STREAMS, DEFAULT_TIMEOUTS } from '../../../src/wires/anytls/config.ts'
import type { ConnectionConfig, ServerConfig, Timeouts } from '../../../src/wires/anytls/config.ts'
import type { Frame } from '../../../src/wires/anytls/frame.ts'
import { serverRole } from '../../../src/wires/anytls/server.ts'
import type { Input } from '../../../src/wires/anytls/state-tables.ts'
import type { MachineEvent, Write } from '../../../src/engine/machine.ts'
import { parseScheme } from '../../../src/shaping/scheme.ts'
import type { Scheme } from '../../../src/shaping/scheme.ts'
import { concatBytes } from '../../../src/codec/bytes.ts'
import type { RandomInt } from '../../../src/shaping/shaper.ts'
import { steadyRandomInt } from '../../support/seeded-random.ts'
import { ShownMachine } from '../../support/shown-machine.ts'
import { describeFrames, write } from '../../support/v1-frames.ts'
import { fromHex } from '../../codec/vectors.ts'

/** Bytes from hex in words; `61*1000` is a run of 1,000 bytes. */
export function fromRuns(text: string): Uint8Array {
  const words = text.split(' ').filter((word) => word !== '')
  return concatBytes(
    words.map((word) => {
      const [hex = '', times] = word.split('*')
      return times === undefined
        ? fromHex(hex)
        : new Uint8Array(Number(times)).fill(parseInt(hex, 16))
    }),
  )
}

/** `bytes` cut into pieces of at most `size` bytes. */
export function pieces(bytes: Uint8Array, size: number): Uint8Array[] {
  const list: Uint8Array[] = []
  for (let offset = 0; offset < bytes.length; offset += size) {
    list.push(bytes.slice(offset, offset + size))
  }
  return list
}

export const HASH = hashPassword('password')

/** A scheme that shapes nothing and pads nothing. */
export const PLAIN: Scheme = parseScheme('stop=0')

export interface Setup {
  readonly scheme?: Scheme
  readonly timeouts?: Partial<Timeouts>
  readonly mux1Window?: number | undefined
  readonly maxStreams?: number
  readonly seed?: number
  /** Draws times between pings, too. */
  readonly randomInt?: RandomInt
}

function makeConfig(setup: Setup = {}): ConnectionConfig {
  return {
    passwordHash: HASH,
    scheme: setup.scheme ?? PLAIN,
    name: 'test/1',
    randomInt: setup.randomInt ?? steadyRandomInt(setup.seed ?? 1),
    timeouts: { ...DEFAULT_TIMEOUTS, ...setup.timeouts },
    mux1Window: setup.mux1Window,
    maxStreams: setup.maxStreams ?? DEFAULT_MAX_STREAMS,
  }
}

/** A client machine whose state shows. */
export class Client extends ShownMachine<Frame, Input> {
  constructor(config: ConnectionConfig, now: number) {
    super(clientRole(config), now)
  }
}

/** A server machine whose state shows. */
export class Server extends ShownMachine<Frame, Input> {
  constructor(config: ServerConfig, now: number) {
    super(serverRole(config), now)
  }
}

export interface ServerSetup extends Setup {
  readonly onViolation?: ServerConfig['onViolation']
  readonly downlinkScheme?: Scheme
}

export function makeClient(setup: Setup = {}, now = 0): Client {
  return new Client(makeConfig(setup), now)
}

export function makeServer(setup: ServerSetup = {}, now = 0): Server {
  const { onViolation = 'alert', downlinkScheme } = setup
  return new Server({ ...makeConfig(setup), onViolation, downlinkScheme }, now)
}

/** The text of the client's NEGO. */
export function clientNego(window: PeerWindow = 'draft', digest: string = PLAIN.digest): string {
  return `version=1\nclient=peer/1\npadding-md5=${digest}\n${mux1Lines(window)}`
}

/** The text of the server's NEGO. */
export function serverNego(window: PeerWindow = 'draft'): string {
  return `version=1\nserver=peer/1\n${mux1Lines(window)}`
}

function mux1Lines(window: PeerWindow): string {
  return window === 'draft' ? '' : `extensions=mux1\nwindow=${window}\n`
}

/** A client past Deliver 0, nothing of it left to take; no streams. */
export function negotiatingClient(setup: Setup = {}): Client {
  const client = makeClient({ ...setup, timeouts: { hold: 1, ...setup.timeouts } }, -1)
  client.timeout(0)
  client.takeWrites()
  return client
}

/** The window that a peer tells in its NEGO, or that it does not speak mux1. */
export type PeerWindow = number | 'draft'

/** A client that has negotiated at 0 ms with a server that has `peer` as its window. */
export function openClient(setup: Setup = {}, peer: PeerWindow = setup.mux1Window ?? 'draft') {
  const client = negotiatingClient(setup)
  client.receive(write.serverNego(serverNego(peer)), 0)
  client.takeWrites()
  return client
}

/** A server that has just authenticated its client. */
export function authenticatedServer(setup: ServerSetup = {}): Server {
  const server = makeServer(setup)
  server.receive(write.auth(HASH), 0)
  return server
}

/** A server that has negotiated at 0 ms with a client that has `peer` as its window. */
export function openServer(
  setup: ServerSetup = {},
  peer: PeerWindow = setup.mux1Window ?? 'draft',
): Server {
  const server = authenticatedServer(setup)
  const { digest } = setup.scheme ?? PLAIN
  server.receive(write.clientNego(clientNego(peer, digest)), 0)
  server.takeWrites()
  return server
}

/** The bytes of Writes, joined. */
export function bytesOf(writes: readonly Write[]): Uint8Array {
  return concatBytes(writes.flatMap(({ parts }) => parts))
}

/** What a machine has to write, as lines of text. */
export function said(machine: { takeWrites(): readonly Write[] }): string[] {
  return describeFrames(bytesOf(machine.takeWrites()))
}

/** Events as lines of text: `open 1`, `data 1 hello`, `close 1 ERR_STREAM_RESET`. */
export function told(events: readonly MachineEvent[]): string[] {
  return events.map((event) => {
    switch (event.type) {
      case 'established':
        return `established ${event.peer}`
      case 'data':
        return `data ${event.stream} ${new TextDecoder().decode(event.data)}`
      case 'close':
        return ['close', event.stream, ...code(event.error)].join(' ')
      case 'closed':
        return ['closed', ...code(event.error)].join(' ')
      case 'scheme':
        return `scheme ${event.scheme.digest}`
      case 'scheme-refused':
        return `scheme-refused ${event.error.code}`
      case 'pong':
        return `pong ${event.roundTrip}`
      case 'handover':
        return `handover ${event.handover.cause}`
      case 'draining':
        return 'draining'
      default:
        return `${event.type} ${event.stream}`
    }
  })
}

function code(error: { readonly code: string } | undefined): string[] {
  return error === undefined ? [] : [error.code]
}

/** The bytes that a handover gives to the next owner. */
export function unreadOf(events: readonly MachineEvent[]): Uint8Array | undefined {
  const last = events.at(-1)
  return last?.type === 'handover' ? concatBytes(last.handover.unread) : undefined
}
