// A TCP tap: passes connections on to a port of loopback and notes the TLS records that go by.

import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'

/** A record as its head tells (RFC 8446, section 5.1). */
export interface TappedRecord {
  /** 22 handshake, 20 change cipher spec, 21 alert, 23 application data, or what is encrypted as such. */
  readonly type: number
  /** Bytes behind the five of the head. */
  readonly length: number
  /** Its place among the records of both directions of the connection, from 0. */
  readonly order: number
}

/** One connection, in the order in which they came. The records of each direction are complete ones. */
export interface TappedConnection {
  readonly fromClient: readonly TappedRecord[]
  readonly fromServer: readonly TappedRecord[]
  /** Ends it for both sides with a reset. */
  cut(): void
  /** Stops reading from the client, so that it runs into back-pressure. */
  hold(): void
  release(): void
}

export interface RecordTap {
  readonly port: number
  readonly connections: readonly TappedConnection[]
  /** Stops listening and cuts what is open. */
  stop(): Promise<void>
}

/** Bytes that TLS 1.3 adds to what a record carries: the inner type and the tag (RFC 8446, section 5.2). */
const RECORD_OVERHEAD = 17

/** Starts a tap on a free port of 127.0.0.1, in front of `port`. */
export async function startRecordTap(port: number): Promise<RecordTap> {
  const connections: TappedConnection[] = []
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    const upstream = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
    const cut = () => {
      client.destroy()
      upstream.destroy()
    }
    let passed = 0
    const nextOrder = () => passed++
    connections.push({
      fromClient: readRecords(client, nextOrder),
      fromServer: readRecords(upstream, nextOrder),
      hold: () => void client.pause(),
      release: () => void client.resume(),
      cut() {
        for (const socket of [client, upstream]) if (!socket.destroyed) socket.resetAndDestroy()
      },
    })
    for (const socket of [client, upstream]) socket.on('error', cut).on('close', cut)
    client.pipe(upstream)
    upstream.pipe(client)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    connections,
    async stop() {
      const closed = once(server, 'close')
      server.close()
      for (const connection of connections) connection.cut()
      await closed
    },
  }
}

const APPLICATION_DATA = 23
// OpenSSL's default, sent as soon as the client's Finished has arrived.
const SESSION_TICKETS = 2

/** The records that carry application data: not those of TLS itself, which only look like it. */
export function applicationRecords({
  fromClient,
  fromServer,
}: Pick<TappedConnection, 'fromClient' | 'fromServer'>): {
  readonly up: readonly TappedRecord[]
  readonly down: readonly TappedRecord[]
} {
  const isData = ({ type }: TappedRecord) => type === APPLICATION_DATA
  const [finished, ...up] = fromClient.filter(isData)
  const down = fromServer.filter(isData)
  // Everything that the server sends before the client's Finished is its handshake.
  const handshake = down.filter(({ order }) => finished === undefined || order < finished.order)
  return { up, down: down.slice(handshake.length + SESSION_TICKETS) }
}

/** What records carry, in bytes. */
export function carriedBytes(records: readonly TappedRecord[]): number[] {
  return records.map(({ length }) => length - RECORD_OVERHEAD)
}

const HEAD_LENGTH = 5

/** A list that grows as records come by on `socket`. */
function readRecords(socket: Socket, nextOrder: () => number): readonly TappedRecord[] {
  const records: TappedRecord[] = []
  let pending = Buffer.alloc(0)
  /** Bytes of the record under way that have still to come. */
  let missing = 0
  let head: Pick<TappedRecord, 'type' | 'length'> | undefined
  socket.on('data', (chunk: Buffer) => {
    pending = Buffer.concat([pending, chunk])
    for (;;) {
      if (head === undefined) {
        if (pending.length < HEAD_LENGTH) return
        head = { type: pending.readUInt8(0), length: pending.readUInt16BE(3) }
        missing = head.length
        pending = pending.subarray(HEAD_LENGTH)
      }
      const taken = Math.min(missing, pending.length)
      missing -= taken
      pending = pending.subarray(taken)
      if (missing > 0) return
      records.push({ ...head, order: nextOrder() })
      head = undefined
    }
  })
  return records
}
