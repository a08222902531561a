// What the tests of the Mux.Pro machines share: machines that show their state, in every state.
import { clientRole } from '../../../src/wires/muxpro/client.ts'
import { DEFAULT_TIMEOUTS } from '../../../src/wires/muxpro/config.ts'
import type { ClientConfig, ServerConfig, Timeouts } from '../../../src/wires/muxpro/config.ts'
import type { CountPlace, Frame } from '../../../src/wires/muxpro/frame.ts'
import type { StreamRequest, Write } from '../../../src/engine/machine.ts'
import { serverRole } from '../../../src/wires/muxpro/server.ts'
import type {
  CLIENT_TABLE,
  FRAME_INPUTS,
  Input,
  SERVER_TABLE,
} from '../../../src/wires/muxpro/state-tables.ts'
import { bytesOf } from '../anytls/support.ts'
import { aborted, closing, ShownMachine } from '../../support/shown-machine.ts'
import { describeFrames, write } from './frames.ts'

export { bytesOf, told } from '../anytls/support.ts'

export interface Setup {
  readonly timeouts?: Partial<Timeouts>
  readonly maxStreams?: number
  readonly countPlace?: CountPlace
  readonly firstPriority?: number
}

export const TCP: StreamRequest = {
  network: 'tcp',
  target: { host: '192.0.2.1', port: 80 },
  priority: 128,
}

export const UDP: StreamRequest = { ...TCP, network: 'udp' }

/** A client machine whose state shows. */
export class Client extends ShownMachine<Frame, Input> {
  constructor(config: ClientConfig, now: number) {
    super(clientRole(config), now)
  }
}

/** A server machine whose state shows. */
export class Server extends ShownMachine<Frame, Input> {
  constructor(config: ServerConfig, now: number) {
    super(serverRole(config), now)
  }
}

export type Tested = Client | Server

function makeConfig({ timeouts, maxStreams = 1_024 }: Setup) {
  return { timeouts: { ...DEFAULT_TIMEOUTS, ...timeouts }, maxStreams }
}

export function makeClient(setup: Setup = {}, now = 0): Client {
  const { countPlace = 'metadata' } = setup
  return new Client({ ...makeConfig(setup), countPlace }, now)
}

export function makeServer(setup: Setup = {}, now = 0): Server {
  const { firstPriority = 0 } = setup
  return new Server({ ...makeConfig(setup), firstPriority }, now)
}

/** A client that has negotiated at 0 ms; nothing of it left to take. */
export function openClient(setup: Setup = {}): Client {
  const client = makeClient(setup)
  client.receive(write.negotiate(0), 0)
  client.takeWrites()
  return client
}

/** A server that has negotiated at 0 ms; nothing of it left to take. */
export function openServer(setup: Setup = {}): Server {
  const server = makeServer(setup)
  server.receive(write.negotiate(0), 0)
  server.takeWrites()
  return server
}

/** A client in each state, streams 1 (TCP) and 2 (UDP) open where there can be any; nothing left to take. */
export const CLIENT_IN: Readonly<Record<keyof typeof CLIENT_TABLE, (setup?: Setup) => Client>> = {
  negotiating: (setup) => withStreams(makeClient(setup)),
  'draining-early': (setup) => closing(CLIENT_IN.negotiating(setup)),
  open: (setup) => withStreams(openClient(setup)),
  draining: (setup) => closing(CLIENT_IN.open(setup)),
  closed: (setup) => aborted(CLIENT_IN.open(setup)),
}

/** As {@link CLIENT_IN}, for servers. */
export const SERVER_IN: Readonly<Record<keyof typeof SERVER_TABLE, (setup?: Setup) => Server>> = {
  'await-version': (setup) => makeServer(setup),
  open(setup) {
    const server = openServer(setup)
    server.receive(write.new(1), 0)
    server.receive(write.new(2, { network: 2 }), 0)
    return server
  },
  draining: (setup) => closing(SERVER_IN.open(setup)),
  closed: (setup) => aborted(SERVER_IN.open(setup)),
}

/** A well-formed frame for each input, for a connection with the streams 1 and 2. */
export const FRAME_FOR: Readonly<Record<(typeof FRAME_INPUTS)[number], Uint8Array>> = {
  negotiate: write.negotiate(0),
  new: write.new(3),
  keep: write.keep(1, 'data'),
  end: write.end(1),
  'keep-alive': write.keepAlive(),
  credit: write.credit(1, 100),
}

/** What a machine has to write, as lines of text. */
export function said(machine: { takeWrites(): readonly Write[] }): string[] {
  return describeFrames(bytesOf(machine.takeWrites()))
}

/** Sends data as a session would. */
export function sendText(machine: Tested, stream: number, text: string, now = 0): void {
  const data = new TextEncoder().encode(text)
  machine.sendData(stream, [data], data.length, now)
}

function withStreams(client: Client): Client {
  client.openStream(0, TCP)
  client.openStream(0, UDP)
  client.takeWrites()
  return client
}
