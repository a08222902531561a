// Both machines of the original wire in every state that they can be in, and a frame for every input of
// their tables.
import type {
  CLIENT_TABLE,
  FRAME_INPUTS,
  SERVER_TABLE,
} from '../../../src/wires/legacy/state-tables.ts'
import { concatBytes } from '../../../src/codec/bytes.ts'
import { aborted, closing } from '../../support/shown-machine.ts'
import { frame, write } from './frames.ts'
import {
  authenticatedServer,
  flushedClient,
  makeClient,
  makeServer,
  oldClient,
  openClient,
  openServer,
  PLAIN,
  settingsText,
} from './support.ts'
import type { Client, Server, ServerSetup, Setup } from './support.ts'

/** A client in each state, streams 1 and 2 open where there can be any; nothing is left to take. */
const CLIENT_IN: Readonly<Record<keyof typeof CLIENT_TABLE, (setup?: Setup) => Client>> = {
  initializing: (setup) => makeClient(setup),
  unconfirmed: (setup) => withStreams(flushedClient(setup)),
  'draining-early': (setup) => closing(CLIENT_IN.unconfirmed(setup)),
  open: (setup) => withStreams(openClient(setup)),
  draining: (setup) => closing(CLIENT_IN.open(setup)),
  closed: (setup) => aborted(CLIENT_IN.open(setup)),
}

/** A server in each state, streams 1 and 2 open where there can be any; nothing is left to take. */
const SERVER_IN: Readonly<Record<keyof typeof SERVER_TABLE, (setup?: ServerSetup) => Server>> = {
  'await-auth': (setup) => makeServer(setup),
  'await-settings': (setup) => authenticatedServer(setup),
  open: (setup) => served(openServer(setup)),
  draining: (setup) => closing(SERVER_IN.open(setup)),
  closed: (setup) => aborted(SERVER_IN.open(setup)),
  'handed-over'(setup) {
    const server = SERVER_IN['await-auth'](setup)
    server.receive(new Uint8Array(1), 0)
    return server
  },
}

export type Tested = Client | Server

/** A machine in some state. */
export interface Place {
  readonly name: 'client' | 'version 1 client' | 'server' | 'version 1 server' | 'handover server'
  readonly state: string
  readonly make: (setup?: Setup) => Tested
}

/** Every machine in every state; version 1 where it makes a difference. */
export const EVERYWHERE: readonly Place[] = [
  ...Object.entries(CLIENT_IN).map(([state, make]): Place => ({ name: 'client', state, make })),
  {
    name: 'version 1 client',
    state: 'open',
    make: (setup) => withStreams(oldClient(setup)),
  },
  ...Object.entries(SERVER_IN).map(([state, make]): Place => ({ name: 'server', state, make })),
  { name: 'version 1 server', state: 'open', make: (setup) => served(openServer(setup, 1)) },
  ...Object.entries(SERVER_IN).map(([state, make]): Place => ({
    name: 'handover server',
    state,
    make: (setup) => make({ ...setup, onViolation: 'handover' }),
  })),
]

/** A well-formed frame for each input, for a connection with the streams 1 and 2. */
export const FRAME_FOR: Readonly<Record<(typeof FRAME_INPUTS)[number], Uint8Array>> = {
  auth: write.auth(7),
  waste: write.waste(40),
  syn: write.syn(3),
  push: write.push(1, 'data'),
  fin: write.fin(1),
  settings: write.settings(settingsText()),
  alert: write.alert('no more'),
  'update-scheme': write.scheme(PLAIN.text),
  synack: write.synack(1),
  'heartbeat-request': write.ping(),
  'heartbeat-response': write.pong(),
  'server-settings': write.serverSettings(),
  unknown: frame(99, 1, 'from the future'),
}

/** Two streams whose first data has left. */
function withStreams(client: Client): Client {
  for (const stream of [client.openStream(0), client.openStream(0)]) {
    client.sendData(stream, [new Uint8Array(1)], 1, 0)
  }
  client.timeout(0)
  client.takeWrites()
  return client
}

function served(server: Server): Server {
  server.receive(concatBytes([write.syn(1), write.syn(2)]), 0)
  return server
}
