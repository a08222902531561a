// What the tests of the original wire share: machines that show their state, in any state, and what they
// say in plain text.
import { clientRole } from '../../../src/wires/legacy/client.ts'
import { DEFAULT_LEGACY_TIMEOUTS } from '../../../src/wires/legacy/config.ts'
import type {
  LegacyClientConfig,
  LegacyConfig,
  LegacyServerConfig,
  LegacyTimeouts,
} from '../../../src/wires/legacy/config.ts'
import type { Frame } from '../../../src/wires/legacy/frame.ts'
import { serverRole } from '../../../src/wires/legacy/server.ts'
import type { Input } from '../../../src/wires/legacy/state-tables.ts'
import type { Write } from '../../../src/engine/machine.ts'
import type { Scheme } from '../../../src/shaping/scheme.ts'
import { bytesOf, HASH, PLAIN } from '../anytls/support.ts'
import type { RandomInt } from '../../../src/shaping/shaper.ts'
import { steadyRandomInt } from '../../support/seeded-random.ts'
import { ShownMachine } from '../../support/shown-machine.ts'
import { describeFrames, write } from './frames.ts'

export { bytesOf, fromRuns, HASH, pieces, PLAIN, told, unreadOf } from '../anytls/support.ts'

export interface Setup {
  readonly scheme?: Scheme
  readonly timeouts?: Partial<LegacyTimeouts>
  readonly maxStreams?: number
  readonly seed?: number
  /** Draws times between pings, too. */
  readonly randomInt?: RandomInt
}

export interface ServerSetup extends Setup {
  readonly onViolation?: LegacyServerConfig['onViolation']
  readonly downlinkScheme?: Scheme
}

/** A client machine whose state shows. */
export class Client extends ShownMachine<Frame, Input> {
  constructor(config: LegacyClientConfig, now: number) {
    super(clientRole(config), now)
  }
}

/** A server machine whose state shows. */
export class Server extends ShownMachine<Frame, Input> {
  constructor(config: LegacyServerConfig, now: number, role = serverRole(config)) {
    super(role, now)
  }
}

export function makeConfig(setup: Setup): LegacyConfig {
  return {
    passwordHash: HASH,
    scheme: setup.scheme ?? PLAIN,
    name: 'test/1',
    randomInt: setup.randomInt ?? steadyRandomInt(setup.seed ?? 1),
    timeouts: { ...DEFAULT_LEGACY_TIMEOUTS, ...setup.timeouts },
    maxStreams: setup.maxStreams ?? 1_024,
  }
}

export function makeClient(setup: Setup = {}, now = 0): Client {
  return new Client(makeConfig(setup), now)
}

export function makeServer(setup: ServerSetup = {}, now = 0): Server {
  const { onViolation = 'alert', downlinkScheme } = setup
  return new Server({ ...makeConfig(setup), onViolation, downlinkScheme }, now)
}

/** The text of a client's settings. */
export function settingsText(version = 2, digest: string = PLAIN.digest): string {
  return `v=${version}\nclient=peer/1\npadding-md5=${digest}`
}

/** A client whose authentication block and settings have left; no streams. */
export function flushedClient(setup: Setup = {}): Client {
  const client = makeClient({ ...setup, timeouts: { hold: 1, ...setup.timeouts } }, -1)
  client.timeout(0)
  client.takeWrites()
  return client
}

/** A client whose server speaks version 2. */
export function openClient(setup: Setup = {}): Client {
  const client = flushedClient(setup)
  client.receive(write.serverSettings(), 0)
  return client
}

/** A client whose server has shown itself and speaks version 1. */
export function oldClient(setup: Setup = {}): Client {
  const client = flushedClient(setup)
  client.receive(write.serverSettings('v=1'), 0)
  return client
}

/** A server that has seen the authentication block. */
export function authenticatedServer(setup: ServerSetup = {}): Server {
  const server = makeServer(setup)
  server.receive(write.auth(), 0)
  return server
}

/** A server past the client's settings, with nothing left to take. */
export function openServer(setup: ServerSetup = {}, version = 2): Server {
  const server = authenticatedServer(setup)
  server.receive(write.settings(settingsText(version, (setup.scheme ?? PLAIN).digest)), 0)
  server.takeWrites()
  return server
}

/** What a machine has to say, as lines of text. */
export function said(machine: { takeWrites(): readonly Write[] }): string[] {
  return describeFrames(bytesOf(machine.takeWrites()))
}

/** The same, Write by Write. */
export function saidInWrites(machine: { takeWrites(): readonly Write[] }): string[][] {
  return machine.takeWrites().map((one) => describeFrames(bytesOf([one])))
}

/** Stream data as the machines take it. */
export function send(machine: Client | Server, stream: number, text: string, now: number): void {
  const bytes = new TextEncoder().encode(text)
  machine.sendData(stream, [bytes], bytes.length, now)
}
