// What a session asks of every wire, as one suite over a table of them: two machines that hear each other.
import { describe, expect, it } from 'vitest'
import { CloseCode } from '../../src/engine/close-code.ts'
import { AnyTlsError } from '../../src/errors.ts'
import type { Machine, StreamRequest, Wire } from '../../src/engine/machine.ts'
import * as anytls from './anytls/support.ts'
import * as legacy from './legacy/support.ts'
import * as muxpro from './muxpro/support.ts'
import * as netmux from './netmux/support.ts'
import { bytesOf, told } from './anytls/support.ts'

interface Limits {
  readonly client: number
  readonly server: number
}

interface Row {
  readonly name: string
  readonly wire: Wire
  /** @param limits most streams at once, by the count of either end */
  readonly make: (limits: Limits) => { readonly client: Machine; readonly server: Machine }
  readonly request?: StreamRequest
}

const WIRES: readonly Row[] = [
  {
    name: 'ANYTLS v1',
    wire: 'v1',
    make: ({ client, server }) => ({
      client: anytls.makeClient({ maxStreams: client, mux1Window: 65_536 }),
      server: anytls.makeServer({ maxStreams: server, mux1Window: 65_536 }),
    }),
  },
  {
    name: 'ANYTLS v1 without mux1',
    wire: 'v1',
    make: ({ client, server }) => ({
      client: anytls.makeClient({ maxStreams: client }),
      server: anytls.makeServer({ maxStreams: server }),
    }),
  },
  {
    name: 'original AnyTLS',
    wire: 'legacy',
    make: ({ client, server }) => ({
      client: legacy.makeClient({ maxStreams: client }),
      server: legacy.makeServer({ maxStreams: server }),
    }),
  },
  {
    name: 'Mux.Pro',
    wire: 'muxpro',
    make: ({ client, server }) => ({
      client: muxpro.makeClient({ maxStreams: client }),
      server: muxpro.makeServer({ maxStreams: server }),
    }),
    request: muxpro.TCP,
  },
  {
    name: 'net-mux',
    wire: 'netmux',
    make: ({ client, server }) => ({
      client: netmux.makeMachine('client', { maxStreams: client }),
      server: netmux.makeMachine('server', { maxStreams: server }),
    }),
  },
]

type End = 'client' | 'server'

/** Two ends that hear each other, with nothing between them that takes time. */
class Connection {
  readonly client: Machine
  readonly server: Machine
  readonly #request: StreamRequest | undefined
  #told: Record<End, string[]> = { client: [], server: [] }
  now = 0

  constructor(row: Row, limits: Limits = { client: 100, server: 100 }) {
    const { client, server } = row.make(limits)
    this.client = client
    this.server = server
    this.#request = row.request
  }

  /** Opens a stream, and lets what has to wait for it leave. */
  open(): number {
    const stream = this.client.openStream(this.now, this.#request)
    this.exchange()
    return stream
  }

  /** A stream that the server has accepted, with nothing of it left to be told. */
  accepted(): number {
    const stream = this.open()
    this.server.acceptStream(stream, this.now)
    this.exchange()
    this.take('client')
    this.take('server')
    return stream
  }

  send(from: End, stream: number, text: string): void {
    const data = new TextEncoder().encode(text)
    this[from].sendData(stream, [data], data.length, this.now)
  }

  /** Carries what either end has to write, until there is nothing left. */
  exchange(): void {
    for (let quiet = false; !quiet;) {
      quiet = true
      for (const end of ['client', 'server'] as const) {
        this.now += 20
        const machine = this[end]
        if (machine.deadline <= this.now && machine.deadline > 0) {
          this.tell(end, told(machine.timeout(this.now)))
        }
        const bytes = bytesOf(machine.takeWrites())
        if (bytes.length === 0) continue
        quiet = false
        const peer = end === 'client' ? 'server' : 'client'
        this.tell(peer, told(this[peer].receive(bytes, this.now)))
      }
    }
  }

  tell(end: End, lines: readonly string[]): void {
    this.#told[end].push(...lines)
  }

  /** What an end was told since this was asked last, save what the wires tell each in their own way. */
  take(end: End): string[] {
    const lines = this.#told[end]
    this.#told[end] = []
    return lines.filter((line) => !/^(established|scheme|credit)/.test(line))
  }
}

function code(name: string): Error {
  return expect.objectContaining({ code: name }) as Error
}

describe.each(WIRES)('$name', (row) => {
  it('opens as many streams as it may have at once, and again when one has ended', () => {
    const connection = new Connection(row, { client: 2, server: 100 })
    const { client } = connection
    const first = connection.open()
    connection.open()
    expect(client.mayOpen).toBe(false)
    expect(() => connection.open()).toThrow(code('ERR_STREAM_LIMIT'))
    client.resetStream(first, CloseCode.Graceful, '', connection.now)
    expect(client.mayOpen).toBe(true)
    expect(connection.open()).toBeGreaterThan(first)
  })

  it('names its wire', () => {
    const { client, server } = row.make({ client: 1, server: 1 })
    expect([client.wire, server.wire]).toEqual([row.wire, row.wire])
  })

  it('gives each connection ids of its own', () => {
    const [one, other] = [new Connection(row), new Connection(row)]
    const ids = [one.open(), one.open()]
    expect([other.open(), other.open()]).toEqual(ids)
    expect(new Set(ids).size).toBe(2)
  })

  it('refuses the stream that is one too many, and no other', () => {
    const connection = new Connection(row, { client: 100, server: 1 })
    const first = connection.accepted()
    const second = connection.open()
    expect(connection.take('server')).toEqual([])
    const [refusal] = connection.take('client').filter((line) => line.startsWith('close'))
    expect(refusal).toMatch(new RegExp(`^close ${second} ERR_`))
    connection.send('client', first, 'goes on')
    connection.exchange()
    expect(connection.take('server')).toEqual([`data ${first} goes on`])
  })

  it('tells of an acceptance once, and before the data behind it', () => {
    const connection = new Connection(row)
    const stream = connection.open()
    connection.server.acceptStream(stream, connection.now)
    connection.server.acceptStream(stream, connection.now)
    connection.send('server', stream, 'answer')
    connection.exchange()
    expect(connection.take('client')).toEqual([`accept ${stream}`, `data ${stream} answer`])
  })

  it('delivers what was sent before the end of a stream first', () => {
    const connection = new Connection(row)
    const stream = connection.accepted()
    connection.send('server', stream, 'last words')
    connection.server.finishStream(stream, connection.now)
    connection.exchange()
    const [data, end] = connection.take('client')
    expect(data).toBe(`data ${stream} last words`)
    expect(end).toMatch(new RegExp(`^(end|close) ${stream}$`))
  })

  it('drops what comes for a stream that it has reset', () => {
    const connection = new Connection(row)
    const { client, server } = connection
    const [stream, other] = [connection.accepted(), connection.accepted()]
    client.resetStream(stream, CloseCode.Graceful, '', connection.now)
    connection.send('server', stream, 'too late')
    connection.send('server', other, 'in time')
    const late = bytesOf(server.takeWrites())
    expect(told(client.receive(late, connection.now))).toEqual([`data ${other} in time`])
    connection.exchange()
    expect(connection.take('client')).toEqual([])
    expect(connection.take('server').filter((line) => line.startsWith('close'))).toHaveLength(1)
  })

  it('lets streams run to their end when it closes, opens none, and tells of it once', () => {
    const connection = new Connection(row)
    const { client } = connection
    const stream = connection.accepted()
    expect(told(client.close(connection.now))).toEqual(['draining'])
    expect(client.close(connection.now)).toEqual([])
    expect(client.mayOpen).toBe(false)
    expect(() => connection.open()).toThrow(code('ERR_SESSION_DRAINING'))
    connection.send('server', stream, 'last')
    connection.exchange()
    expect(connection.take('client')).toEqual([`data ${stream} last`])
    connection.tell('client', told(client.finishStream(stream, connection.now)))
    connection.server.finishStream(stream, connection.now)
    connection.exchange()
    expect(connection.take('client').at(-1)).toBe('closed')
    expect(() => connection.open()).toThrow(code('ERR_SESSION_CLOSED'))
  })

  it('refuses new streams of its peer while it drains, and ends in order after the last', () => {
    const connection = new Connection(row)
    const stream = connection.accepted()
    // Opened before the client can have heard of it.
    const late = connection.client.openStream(connection.now, row.request)
    connection.tell('server', told(connection.server.close(connection.now)))
    connection.exchange()
    connection.send('client', stream, 'goes on')
    connection.exchange()
    const lines = connection.take('server')
    expect(lines).toContain(`data ${stream} goes on`)
    for (const id of [stream, late]) {
      connection.client.resetStream(id, CloseCode.Graceful, '', connection.now)
      connection.exchange()
    }
    expect(lines.concat(connection.take('server')).at(-1)).toBe('closed')
  })

  it('says no more once it was aborted, whatever is asked of it or comes', () => {
    const connection = new Connection(row)
    const { client, server } = connection
    const stream = connection.accepted()
    connection.send('server', stream, 'too late')
    const late = bytesOf(server.takeWrites())
    expect(told(client.abort(CloseCode.ProtocolError, connection.now))).toEqual(['closed'])
    client.takeWrites()
    expect(client.receive(late, connection.now)).toEqual([])
    expect(client.abort(CloseCode.Graceful, connection.now)).toEqual([])
    expect(client.close(connection.now)).toEqual([])
    expect(client.endOfInput(connection.now)).toEqual([])
    expect(client.timeout(connection.now + 1e9)).toEqual([])
    expect(client.takeWrites()).toEqual([])
    expect([client.deadline, client.mayOpen, client.pingable]).toEqual([Infinity, false, false])
    expect(() => connection.open()).toThrow(AnyTlsError)
  })

  it('takes the end of the input for an error while streams are open, and else for the end', () => {
    for (const end of ['client', 'server'] as const) {
      const connection = new Connection(row)
      const stream = connection.accepted()
      const busy = told(connection[end].endOfInput(connection.now))
      expect(busy.at(-1)).toBe('closed ERR_CONNECTION_LOST')
      const idle = new Connection(row)
      idle.accepted()
      idle.client.resetStream(stream, CloseCode.Graceful, '', idle.now)
      idle.exchange()
      expect(told(idle[end].endOfInput(idle.now)).at(-1)).toBe('closed')
    }
  })

  it('sends the parts that it was given, and copies none', () => {
    const connection = new Connection(row)
    const stream = connection.accepted()
    const parts = [new Uint8Array(600).fill(1), new Uint8Array(700).fill(2)]
    connection.client.sendData(stream, parts, 1_300, connection.now)
    const written = connection.client.takeWrites().flatMap((write) => write.parts)
    for (const part of parts) expect(written).toContain(part)
  })
})
