// What the harness has to know of a wire: which Delivers become of what an application does.
import type { PaddingFormat } from '../../shaping/shaper.ts'
import type { Direction, WorkloadEvent } from './workload.ts'

/** The wires, as the command line names them. */
export const WIRE_NAMES = ['v1', 'legacy'] as const
/** The name of a wire that has shaping. */
export type WireName = (typeof WIRE_NAMES)[number]

/** One Deliver before it is shaped. */
export interface ModelDeliver {
  /** `up` from the client, `down` from the server. */
  readonly direction: Direction
  /** Bytes of its frames, at least 1. */
  readonly bytes: number
  /** How many of them are the application's data. */
  readonly data: number
  /** How many of them are the padding of AUTH. */
  readonly padding: number
  /** It consists of control frames alone. */
  readonly control: boolean
  /** It carries the OPEN of a stream. */
  readonly opens: boolean
}

/** One connection: what it sends for each event, in the order in which the events are given. */
export type ModelConnection = (event: WorkloadEvent) => readonly ModelDeliver[]

/**
 * A wire as the harness sees it. Both ends answer at once, there is no flow control, no keepalive and
 * nothing goes wrong: what a scheme makes of an application's own pattern is to be seen.
 */
export interface WireModel {
  /** What simulations call it. */
  readonly name: WireName
  /** How its padding frames are made. */
  readonly padding: PaddingFormat
  /** Whether its ends pad control frames up where the scheme leaves them bare (N46). */
  readonly padControl: boolean
  /**
   * Begins a connection.
   *
   * @param schemeDigest what the client's negotiation says of its scheme; the server's is the same
   * @param authPadding draws the length of AUTH's padding, to be called once, before all else
   */
  connect(schemeDigest: string, authPadding: () => number): ModelConnection
}

/** Fields that most Delivers of a model have alike. */
const PLAIN = Object.freeze({ data: 0, padding: 0, control: false, opens: false })

/** A Deliver of control frames. */
export function controlDeliver(direction: Direction, bytes: number, opens = false): ModelDeliver {
  return { ...PLAIN, direction, bytes, control: true, opens }
}

/** The first Deliver of a client. */
export function authDeliver(bytes: number, padding: number, opens: boolean): ModelDeliver {
  return { ...PLAIN, direction: 'up', bytes, padding, opens }
}

/**
 * The Delivers of what an application writes at once: a frame each, with at most `maxPayload` bytes.
 *
 * @param head length of the head of a frame with that many bytes
 */
export function dataDelivers(
  { direction, bytes }: WorkloadEvent,
  maxPayload: number,
  head: (payload: number) => number,
): ModelDeliver[] {
  const delivers: ModelDeliver[] = []
  for (let rest = bytes; rest > 0; rest -= maxPayload) {
    const data = Math.min(rest, maxPayload)
    delivers.push({ ...PLAIN, direction, bytes: head(data) + data, data })
  }
  return delivers
}
