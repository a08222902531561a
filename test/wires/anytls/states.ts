// Both machines in every state that they can be in, and a frame for every input of their tables.
import type {
  CLIENT_TABLE,
  FRAME_INPUTS,
  SERVER_TABLE,
} from '../../../src/wires/anytls/state-tables.ts'
import { concatBytes } from '../../../src/codec/bytes.ts'
import { aborted, closing } from '../../support/shown-machine.ts'
import { write } from '../../support/v1-frames.ts'
import {
  authenticatedServer,
  clientNego,
  HASH,
  makeClient,
  makeServer,
  openClient,
  openServer,
  PLAIN,
  serverNego,
} from './support.ts'
import type { Client, Server, ServerSetup, Setup } from './support.ts'

/** mux1 is on, so that each of its frames is legal where the tables say so. */
const WINDOW = 65_536

/** A client in each state, streams 1 and 2 open where there can be any; nothing is left to take. */
const CLIENT_IN: Readonly<Record<keyof typeof CLIENT_TABLE, (setup?: Setup) => Client>> = {
  initializing: (setup) => makeClient({ mux1Window: WINDOW, ...setup }),
  negotiating: (setup) => withStreams(makeClient({ mux1Window: WINDOW, ...setup })),
  'draining-early': (setup) => closing(CLIENT_IN.negotiating(setup)),
  open: (setup) => withStreams(openClient({ mux1Window: WINDOW, ...setup })),
  draining: (setup) => closing(CLIENT_IN.open(setup)),
  closed: (setup) => aborted(CLIENT_IN.open(setup)),
}

/** A server in each state, streams 1 and 2 open where there can be any; nothing is left to take. */
const SERVER_IN: Readonly<Record<keyof typeof SERVER_TABLE, (setup?: ServerSetup) => Server>> = {
  'await-auth': (setup) => makeServer({ mux1Window: WINDOW, ...setup }),
  'await-nego': (setup) => authenticatedServer({ mux1Window: WINDOW, ...setup }),
  open(setup) {
    const server = openServer({ mux1Window: WINDOW, ...setup })
    server.receive(concatBytes([write.open(1), write.open(2)]), 0)
    return server
  },
  'going-away': (setup) => closing(SERVER_IN.open(setup)),
  draining(setup) {
    const server = SERVER_IN['going-away'](setup)
    server.receive(write.goaway(2, 0), 0)
    return server
  },
  closed: (setup) => aborted(SERVER_IN.open(setup)),
  'handed-over'(setup) {
    const server = SERVER_IN['await-auth'](setup)
    server.receive(new Uint8Array(1), 0)
    return server
  },
}

export type Tested = Client | Server

/** A machine in some state. `handover server`s hand over what breaks the protocol (D17). */
export interface Place {
  readonly name: 'client' | 'server' | 'handover server'
  readonly state: string
  readonly make: (setup?: Setup) => Tested
}

/** Every machine in every state. */
export const EVERYWHERE: readonly Place[] = [
  ...Object.entries(CLIENT_IN).map(([state, make]): Place => ({ name: 'client', state, make })),
  ...Object.entries(SERVER_IN).map(([state, make]): Place => ({ name: 'server', state, make })),
  ...Object.entries(SERVER_IN).map(([state, make]): Place => ({
    name: 'handover server',
    state,
    make: (setup) => make({ ...setup, onViolation: 'handover' }),
  })),
]

/** A well-formed frame for each input, for a connection with the streams 1 and 2. */
export const FRAME_FOR: Readonly<Record<(typeof FRAME_INPUTS)[number], Uint8Array>> = {
  auth: write.auth(HASH),
  alert: write.alert('no more'),
  close: write.close(0),
  'client-nego': write.clientNego(clientNego(WINDOW)),
  'server-nego': write.serverNego(serverNego(WINDOW)),
  padding: write.padding(40),
  'scheme-update': write.schemeUpdate(`${PLAIN.text}\n`),
  pingpong: write.ping(),
  'stream-open': write.open(3),
  stream: write.data(1, 'data'),
  'stream-ack': write.ack(1),
  'stream-credit': write.credit(1, 1),
  'stream-hold': write.hold(1, 1),
  'stream-fin': write.fin(1),
  'stream-reset': write.reset(1, 6, 'no'),
  goaway: write.goaway(2, 0),
}

function withStreams(client: Client): Client {
  client.openStream(0)
  client.openStream(0)
  client.takeWrites()
  return client
}
