// The relay that captures: accepts TCP connections, passes each on to one address, and records the TLS
// records that go by. It needs no key.
// Must never let an observer of either side see anything but a relay: half-close, reset and back-pressure pass.

import { connect, createServer } from 'node:net'
import type { Server, Socket } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import type { Address } from '../../codec/address.ts'
import { MAX_CAPTURE_RECORDS } from './capture-event.ts'
import { joinSockets } from './join-sockets.ts'
import { Recorder } from './recorder.ts'
import type { CaptureSink } from './recorder.ts'

/** Options of {@link createCapture}. */
export interface CaptureOptions {
  /** Where connections go. */
  readonly to: Address
  readonly sink: CaptureSink
  /** How many records are recorded at most; whatever comes then is relayed unrecorded. Default 1,000,000. */
  readonly maxRecords?: number
}

/** A relay that captures. */
export interface Capture {
  /** The listening side; to be told to listen by its owner. */
  readonly server: Server
  /**
   * Accepts nothing any more, lets open connections go on for `drain` ms, then cuts them. Resolves when
   * the last event has been given to the sink.
   */
  stop(drain: number): Promise<void>
}

// A peer that vanished without a word is found out by TCP; a silent one may stay.
const KEEP_ALIVE_DELAY = 60_000

const SOCKET_OPTIONS = {
  allowHalfOpen: true,
  // Times and sizes of segments are what an onlooker sees: nothing waits here.
  noDelay: true,
  keepAlive: true,
  keepAliveInitialDelay: KEEP_ALIVE_DELAY,
} as const

export function createCapture({
  to,
  sink,
  maxRecords = MAX_CAPTURE_RECORDS,
}: CaptureOptions): Capture {
  const recorder = new Recorder(sink, maxRecords)
  const open = new Map<Socket, Promise<void>>()
  const server = createServer(SOCKET_OPTIONS, (client) => {
    open.set(
      client,
      relay(client, to, recorder).finally(() => open.delete(client)),
    )
  })
  return {
    server,
    async stop(drain) {
      server.close()
      const limit = new AbortController()
      const over = Promise.all(open.values())
      await Promise.race([over, setTimeout(drain, undefined, limit)])
      limit.abort()
      for (const client of open.keys()) client.destroy()
      await over
    },
  }
}

async function relay(client: Socket, { host, port }: Address, recorder: Recorder): Promise<void> {
  const connection = recorder.open()
  const upstream = connect({ host, port, ...SOCKET_OPTIONS })
  const taps = { up: connection.tap('up'), down: connection.tap('down') }
  const reason = await joinSockets(client, upstream, taps)
  connection.close(reason, client.bytesRead, upstream.bytesRead)
}
