// Every timer of both machines to the millisecond, with the clock as an argument (D8, D26).
import { describe, expect, it } from 'vitest'
import { DEFAULT_TIMEOUTS } from '../../../src/wires/anytls/config.ts'
import { concatBytes } from '../../../src/codec/bytes.ts'
import { seededRandomInt } from '../../support/seeded-random.ts'
import { write } from '../../support/v1-frames.ts'
import { makeServer, openClient, openServer, said, told } from './support.ts'
import type { Client, Server, Setup } from './support.ts'

/** Either machine, negotiated at 0 ms, with a stream that the server has accepted at 0 ms. */
const WITH_STREAM: Record<string, (setup?: Setup) => Client | Server> = {
  client(setup) {
    const client = openClient(setup)
    client.openStream(0)
    client.receive(write.ack(1), 0)
    client.takeWrites()
    return client
  },
  server(setup) {
    const server = openServer(setup)
    server.receive(write.open(1), 0)
    server.acceptStream(1, 0)
    server.takeWrites()
    return server
  },
}

const WITHOUT: Record<string, (setup?: Setup) => Client | Server> = {
  client: (setup) => openClient(setup),
  server: (setup) => openServer(setup),
}

describe('connection timeout', () => {
  it('draft, Timeout, D52: without a frame for 60 s the connection MUST be terminated, by each end on its own timer', () => {
    for (const [role, make] of Object.entries(WITHOUT)) {
      const machine = make()
      expect(machine.deadline, role).toBe(60_000)
      expect(machine.timeout(59_999), role).toEqual([])
      expect(machine.takeWrites(), role).toEqual([])
      expect(told(machine.timeout(60_000)), role).toEqual(['closed ERR_CONNECTION_TIMEOUT'])
      expect(said(machine), role).toEqual(['CLOSE 2'])
      expect(machine.deadline, role).toBe(Infinity)
    }
  })

  it('D26: a frame of either direction starts the wait afresh', () => {
    for (const [role, make] of Object.entries(WITHOUT)) {
      // The answer to a ping has all the time of the world, so that the connection's own wait shows.
      const machine = make({ timeouts: { ping: 1e6 } })
      machine.receive(write.padding(0), 1_000)
      expect(machine.deadline, role).toBe(61_000)
      machine.ping(5_000)
      machine.takeWrites()
      expect(machine.deadline, role).toBe(65_000)
      machine.receive(write.ping(), 6_000)
      expect(machine.deadline, role).toBe(66_000)
    }
  })

  it('D26: each kind of call that sends a frame starts the wait afresh', () => {
    const calls: Record<string, (machine: Client | Server) => unknown> = {
      ping: (machine) => machine.ping(700),
      data: (machine) => machine.sendData(1, [new Uint8Array(1)], 1, 700),
      reset: (machine) => machine.resetStream(1, 5, 'no', 700),
    }
    // Only the connection timeout is short, so that it alone shows.
    const timeouts = { connection: 1_000, keepalive: 1e6, ping: 1e6, streamOpen: 1e6 }
    for (const [name, call] of Object.entries(calls)) {
      for (const [role, make] of Object.entries(WITH_STREAM)) {
        const machine = make({ timeouts })
        call(machine)
        expect(machine.deadline, `${name}, ${role}`).toBe(1_700)
      }
    }
    const server = openServer({ timeouts })
    server.receive(write.open(1), 0)
    server.acceptStream(1, 700)
    expect(server.deadline).toBe(1_700)
    server.finishStream(1, 800)
    expect(server.deadline).toBe(1_800)
  })

  it('D26: half a frame is no frame', () => {
    for (const [role, make] of Object.entries(WITHOUT)) {
      const machine = make()
      machine.receive(write.alert('never ends').subarray(0, 5), 59_000)
      expect(machine.deadline, role).toBe(60_000)
    }
  })

  it('D26: stream data counts as it arrives', () => {
    const server = openServer()
    const data = write.stream(6, 1, new Uint8Array(100))
    server.receive(data.subarray(0, 20), 0)
    server.receive(data.subarray(20, 40), 10_000)
    server.receive(data.subarray(40), 20_000)
    server.receive(write.rst(1), 20_000)
    expect(server.deadline).toBe(80_000)
  })

  it('D26: its length can be set, for each end', () => {
    for (const make of Object.values(WITHOUT)) {
      expect(make({ timeouts: { connection: 7 } }).deadline).toBe(7)
    }
  })

  it('bytes of ours that leave are a sign of life', () => {
    const client = openClient()
    client.progress(30_000)
    expect(client.deadline).toBe(90_000)
  })

  it('when the peer was last alive can be asked: a frame of its tells, one of ours does not', () => {
    for (const [role, make] of Object.entries(WITHOUT)) {
      const machine = make()
      machine.receive(write.ping(), 1_000)
      machine.ping(2_000)
      expect(machine.lastAlive, role).toBe(1_000)
      machine.progress(3_000)
      expect(machine.lastAlive, role).toBe(3_000)
    }
  })

  it('D16: before AUTH it does not run', () => {
    const server = makeServer({ timeouts: { auth: 90_000 } })
    expect(server.deadline).toBe(90_000)
  })

  it('while reading is stopped silence means nothing; afterwards the wait begins afresh', () => {
    for (const [role, make] of Object.entries(WITHOUT)) {
      const machine = make()
      machine.setReading(false, 10_000)
      expect(machine.deadline, role).toBe(Infinity)
      expect(machine.timeout(500_000), role).toEqual([])
      machine.setReading(true, 500_000)
      expect(machine.deadline, role).toBe(560_000)
    }
  })
})

describe('keepalive', () => {
  it('D26: PINGPONG every 15 s while streams are open, and none without', () => {
    for (const [role, make] of Object.entries(WITH_STREAM)) {
      const machine = make()
      for (const at of [15_000, 30_000, 45_000, 60_000, 75_000]) {
        // It may come earlier: a stream is looked at afresh when its old deadline has passed.
        expect(machine.deadline, role).toBeLessThanOrEqual(at)
        expect(machine.timeout(at - 1), role).toEqual([])
        expect(machine.takeWrites(), role).toEqual([])
        expect(machine.timeout(at), role).toEqual([])
        expect(said(machine), role).toEqual(['PING'])
        expect(told(machine.receive(write.ping(), at)), role).toEqual(['pong 0'])
        expect(machine.takeWrites(), role).toEqual([])
      }
    }
    for (const [role, make] of Object.entries(WITHOUT)) expect(make().deadline, role).toBe(60_000)
  })

  it('N91: the silence before each is drawn anew, from half of the limit to all of it', () => {
    for (const [role, make] of Object.entries(WITH_STREAM)) {
      const machine = make({ randomInt: seededRandomInt(7), timeouts: { stream: 1e9 } })
      const silences: number[] = []
      for (let now = 0; silences.length < 100;) {
        const due = machine.deadline
        machine.timeout(due)
        // A stream is looked at afresh when its old deadline has passed.
        if (said(machine)[0] !== 'PING') continue
        silences.push(due - now)
        now = due
        expect(told(machine.receive(write.ping(), now)), role).toEqual(['pong 0'])
      }
      const [least, most] = [Math.min(...silences), Math.max(...silences)]
      expect(least, role).toBeGreaterThanOrEqual(10_000)
      expect(least, role).toBeLessThan(10_500)
      expect(most, role).toBeLessThanOrEqual(20_000)
      expect(most, role).toBeGreaterThan(19_500)
      expect(new Set(silences).size, role).toBeGreaterThan(95)
    }
  })

  it.each([
    ['least', (min: number) => min, 300],
    ['most', (_min: number, max: number) => max - 1, 600],
  ] as const)('N91: at the %s that is drawn', (_which, randomInt, due) => {
    for (const make of Object.values(WITH_STREAM)) {
      const machine = make({ randomInt, timeouts: { keepalive: 600 } })
      expect(machine.timeout(due - 1)).toEqual([])
      expect(said(machine)).toEqual([])
      machine.timeout(due)
      expect(said(machine)).toEqual(['PING'])
    }
  })

  it('D8: a ping that is not answered in time ends the connection, other silence or not', () => {
    for (const [role, make] of Object.entries(WITH_STREAM)) {
      const machine = make()
      machine.timeout(15_000)
      machine.takeWrites()
      expect(machine.deadline, role).toBe(45_000)
      expect(machine.timeout(44_999), role).toEqual([])
      expect(told(machine.timeout(45_000)), role).toEqual(['closed ERR_PING_TIMEOUT'])
      expect(said(machine), role).toEqual(['CLOSE 2'])
    }
  })

  it('a peer that sends something else after a ping is alive', () => {
    for (const make of Object.values(WITH_STREAM)) {
      const machine = make()
      machine.timeout(15_000)
      machine.receive(write.padding(1), 40_000)
      expect(machine.deadline).toBe(70_000)
    }
  })

  it('D8: a PINGPONG is the answer to an outstanding ping, otherwise it is answered with exactly one', () => {
    for (const [role, make] of Object.entries(WITHOUT)) {
      const machine = make()
      expect(machine.receive(concatBytes([write.ping(), write.ping()]), 10), role).toEqual([])
      expect(said(machine), role).toEqual(['PING', 'PING'])
      expect(machine.ping(100), role).toBe(true)
      expect(machine.ping(100), role).toBe(false)
      expect(said(machine), role).toEqual(['PING'])
      expect(told(machine.receive(concatBytes([write.ping(), write.ping()]), 142)), role).toEqual([
        'pong 42',
      ])
      expect(said(machine), role).toEqual(['PING'])
    }
  })

  it('D8: pings that cross answer each other, and no loop begins', () => {
    const [client, server] = [openClient(), openServer()]
    client.ping(0)
    server.ping(0)
    const [toServer, toClient] = [client.takeWrites(), server.takeWrites()]
    expect([toServer.length, toClient.length]).toEqual([1, 1])
    expect(told(client.receive(write.ping(), 5))).toEqual(['pong 5'])
    expect(told(server.receive(write.ping(), 5))).toEqual(['pong 5'])
    expect([...client.takeWrites(), ...server.takeWrites()]).toEqual([])
  })

  it('D8: after a ping has timed out, a late answer starts nothing', () => {
    const client = openClient()
    client.ping(0)
    client.timeout(30_000)
    client.takeWrites()
    expect(client.receive(write.ping(), 30_001)).toEqual([])
    expect(client.takeWrites()).toEqual([])
  })
})

describe('stream timeout', () => {
  /** Answers pings until `until`, so that only stream timers are left; returns what happened then. */
  function keptAlive(machine: Client | Server, until: number): string[] {
    machine.takeWrites()
    for (;;) {
      if (machine.deadline > until) return []
      const now = machine.deadline
      const events = machine.timeout(now)
      const written = said(machine).filter((line) => line !== 'PING')
      if (events.length > 0 || written.length > 0) return [`${now}`, ...told(events), ...written]
      machine.receive(write.ping(), now)
      machine.takeWrites()
    }
  }

  it('draft, Stream Timeout: without a STREAM frame for 1 h a stream MUST be terminated, by each end on its own timer', () => {
    for (const [role, make] of Object.entries(WITH_STREAM)) {
      expect(keptAlive(make(), 4_000_000), role).toEqual([
        '3600000',
        'close 1 ERR_STREAM_TIMEOUT',
        'RST 1',
      ])
    }
  })

  it('draft, Stream Timeout: every stream MUST have its own timer; the others go on', () => {
    const server = openServer({ timeouts: { stream: 1_000 } })
    server.receive(concatBytes([write.open(1), write.open(2)]), 0)
    server.receive(write.data(2, 'x'), 600)
    expect(keptAlive(server, 2_000)).toEqual(['1000', 'close 1 ERR_STREAM_TIMEOUT', 'RST 1'])
    expect(server.streamCount).toBe(1)
    expect(keptAlive(server, 2_000)).toEqual(['1600', 'close 2 ERR_STREAM_TIMEOUT', 'RST 2'])
  })

  it('streams that are due together end together', () => {
    const server = openServer({ timeouts: { stream: 1_000 } })
    server.receive(concatBytes([write.open(1), write.open(2)]), 0)
    expect(told(server.timeout(1_000))).toEqual([
      'close 1 ERR_STREAM_TIMEOUT',
      'close 2 ERR_STREAM_TIMEOUT',
    ])
  })

  it('D5, D26: any STREAM frame counts, of either direction, one without flags too; PINGPONG does not', () => {
    const frames: Record<string, (machine: Client | Server) => void> = {
      'data received': (machine) => machine.receive(write.data(1, 'x'), 700),
      'empty data received': (machine) => machine.receive(write.data(1, ''), 700),
      'no flag received': (machine) => machine.receive(write.stream(0, 1), 700),
      'data sent': (machine) => machine.sendData(1, [new Uint8Array(1)], 1, 700),
    }
    for (const [name, act] of Object.entries(frames)) {
      for (const [role, make] of Object.entries(WITH_STREAM)) {
        const machine = make({ timeouts: { stream: 1_000 } })
        act(machine)
        expect(keptAlive(machine, 2_000).slice(0, 2), `${name}, ${role}`).toEqual([
          '1700',
          'close 1 ERR_STREAM_TIMEOUT',
        ])
      }
    }
    const machine = WITH_STREAM['client']!({ timeouts: { stream: 1_000 } })
    machine.ping(700)
    machine.receive(write.ping(), 700)
    expect(keptAlive(machine, 2_000)[0]).toBe('1000')
  })

  it('D26: a stream without an answer for 10 s ends, and that stream only', () => {
    const client = openClient()
    client.openStream(0)
    client.openStream(0)
    client.receive(write.ack(2), 0)
    client.takeWrites()
    expect(client.deadline).toBe(10_000)
    expect(client.timeout(9_999)).toEqual([])
    expect(told(client.timeout(10_000))).toEqual(['close 1 ERR_STREAM_OPEN_TIMEOUT'])
    expect(said(client)).toEqual(['RST 1'])
    expect(told(client.receive(write.data(2, 'on'), 10_001))).toEqual(['data 2 on'])
  })

  it('D26: what the client itself sends does not put the open timeout off', () => {
    const client = openClient()
    client.openStream(0)
    for (const now of [3_000, 6_000, 9_000]) {
      client.sendData(1, [new Uint8Array(1)], 1, now)
      expect(client.timeout(now)).toEqual([])
    }
    expect(client.timeout(9_999)).toEqual([])
    expect(told(client.timeout(10_000))).toEqual(['close 1 ERR_STREAM_OPEN_TIMEOUT'])
  })

  it('D26: having said all does not turn the want of an answer into one', () => {
    const client = openClient({ timeouts: { linger: 5_000 } })
    client.openStream(0)
    client.finishStream(1, 0)
    expect(client.timeout(5_000)).toEqual([])
    expect(told(client.timeout(10_000))).toEqual(['close 1 ERR_STREAM_OPEN_TIMEOUT'])
  })

  it('D26: any frame of the server on the stream ends the open timeout', () => {
    const frames = {
      ack: write.ack(1),
      data: write.data(1, 'x'),
      'empty data': write.data(1, ''),
      'no flag': write.stream(0, 1),
    }
    for (const [name, frame] of Object.entries(frames)) {
      const client = openClient()
      client.openStream(0)
      client.receive(frame, 9_999)
      expect(keptAlive(client, 100_000), name).toEqual([])
      expect(client.streamCount, name).toBe(1)
    }
  })

  it('D26: a server waits for no answer', () => {
    const server = openServer()
    server.receive(write.open(1), 0)
    expect(keptAlive(server, 100_000)).toEqual([])
  })

  it('while reading is stopped no stream ends for want of an answer', () => {
    const client = openClient()
    client.openStream(0)
    client.setReading(false, 2_000)
    expect(client.timeout(10_000)).toEqual([])
    expect(client.timeout(25_000)).toEqual([])
    client.setReading(true, 30_000)
    expect(client.timeout(39_999)).toEqual([])
    expect(told(client.timeout(40_000))).toEqual(['close 1 ERR_STREAM_OPEN_TIMEOUT'])
  })

  it('D26: the defaults are those of the decision', () => {
    expect(DEFAULT_TIMEOUTS).toMatchObject({
      auth: 10_000,
      hold: 20,
      connection: 60_000,
      keepalive: 20_000,
      stream: 3_600_000,
      streamOpen: 10_000,
    })
  })
})

describe('deadline', () => {
  it('is never later than what is due: a timer asked at its deadline always moves on', () => {
    for (const make of [...Object.values(WITHOUT), ...Object.values(WITH_STREAM)]) {
      const machine = make()
      for (let rounds = 0; machine.deadline < Infinity; rounds += 1) {
        const due = machine.deadline
        machine.timeout(due)
        expect(machine.deadline).toBeGreaterThan(due)
        expect(rounds).toBeLessThan(10)
      }
    }
  })
})
