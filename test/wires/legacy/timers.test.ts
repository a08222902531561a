// The timers of both machines of the original wire, to the millisecond, on a clock that is an argument.
import { describe, expect, it } from 'vitest'
import { seededRandomInt } from '../../support/seeded-random.ts'
import { concatBytes } from '../../../src/codec/bytes.ts'
import { write } from './frames.ts'
import { flushedClient, oldClient, openClient, openServer, said, send, told } from './support.ts'

describe('heartbeats of the client', () => {
  it('15 s of silence bring one, also while idle', () => {
    const client = openClient()
    expect(client.deadline).toBe(15_000)
    client.timeout(14_999)
    expect(client.takeWrites()).toEqual([])
    expect(client.timeout(15_000)).toEqual([])
    expect(said(client)).toEqual(['PING 0'])
    expect(told(client.receive(write.pong(), 15_040))).toEqual(['pong 40'])
    expect(client.deadline).toBe(30_040)
  })

  it('N91: the silence before each is drawn anew, from 10 to 20 s', () => {
    const client = openClient({ randomInt: seededRandomInt(3) })
    const silences: number[] = []
    for (let now = 0; silences.length < 100;) {
      const due = client.deadline
      client.timeout(due)
      expect(said(client)).toEqual(['PING 0'])
      silences.push(due - now)
      now = due
      client.receive(write.pong(), now)
    }
    expect(Math.min(...silences)).toBeGreaterThanOrEqual(10_000)
    expect(Math.min(...silences)).toBeLessThan(10_500)
    expect(Math.max(...silences)).toBeLessThanOrEqual(20_000)
    expect(Math.max(...silences)).toBeGreaterThan(19_500)
    expect(new Set(silences).size).toBeGreaterThan(95)
  })

  it('any inbound frame puts it off, even one for nobody', () => {
    const frames = [
      write.waste(1),
      write.push(9, 'x'),
      write.synack(9),
      write.ping(),
      write.pong(),
      write.syn(1),
    ]
    for (const frame of frames) {
      const client = openClient()
      client.receive(frame, 10_000)
      client.takeWrites()
      client.timeout(24_999)
      expect(client.takeWrites()).toEqual([])
      client.timeout(25_000)
      expect(said(client)).toEqual(['PING 0'])
    }
  })

  it('what this end sends does not put it off', () => {
    const client = openClient()
    client.openStream(0)
    send(client, 1, 'x', 14_000)
    client.takeWrites()
    client.timeout(15_000)
    expect(said(client)).toContain('PING 0')
  })

  it('30 s without an answer end the connection', () => {
    const client = openClient()
    client.openStream(0)
    client.receive(write.synack(1), 0)
    client.timeout(15_000)
    client.takeWrites()
    client.timeout(44_999)
    expect(told(client.timeout(45_000))).toEqual(['closed ERR_PING_TIMEOUT'])
    expect(client.takeWrites()).toEqual([])
    expect(client.deadline).toBe(Infinity)
  })

  it('any frame in those 30 s is as good as an answer', () => {
    const client = openClient()
    client.timeout(15_000)
    client.receive(write.waste(1), 40_000)
    expect(client.timeout(69_999)).toEqual([])
    expect(told(client.timeout(70_000))).toEqual(['closed ERR_PING_TIMEOUT'])
  })

  it('a response that nobody asked for is no pong', () => {
    const client = openClient()
    expect(client.receive(write.pong(), 10)).toEqual([])
  })

  it('a ping of the application is answered in milliseconds, one at a time', () => {
    const client = openClient()
    expect(client.ping(100)).toBe(true)
    expect(client.ping(101)).toBe(false)
    expect(told(client.receive(write.pong(0, 'surplus'), 130))).toEqual(['pong 30'])
    expect(client.ping(140)).toBe(true)
  })
})

describe('heartbeats of the server', () => {
  it('15 s of silence bring one while streams are open, and none otherwise', () => {
    const server = openServer()
    expect(server.deadline).toBe(600_000)
    server.receive(write.syn(1), 1_000)
    server.acceptStream(1, 1_000)
    server.takeWrites()
    expect(server.deadline).toBe(16_000)
    server.timeout(16_000)
    expect(said(server)).toEqual(['PING 0'])
    expect(told(server.timeout(46_000))).toEqual(['closed ERR_PING_TIMEOUT'])
    expect(server.takeWrites()).toEqual([])
  })
})

describe('silence', () => {
  it('D52: a server ends a connection without streams after 600 s without a frame either way', () => {
    for (const version of [1, 2]) {
      const server = openServer({}, version)
      server.receive(write.waste(1), 5_000)
      expect(server.timeout(604_999)).toEqual([])
      expect(told(server.timeout(605_000))).toEqual(['closed ERR_CONNECTION_TIMEOUT'])
    }
  })

  it('under version 1 open streams may be silent for as long as they like: an hour, then the stream ends', () => {
    const server = openServer({}, 1)
    server.receive(write.syn(1), 0)
    expect(server.deadline).toBe(3_600_000)
    expect(told(server.timeout(3_599_999))).toEqual([])
    expect(told(server.timeout(3_600_000))).toEqual(['close 1 ERR_STREAM_TIMEOUT'])
    expect(said(server)).toEqual(['FIN 1'])
    const client = oldClient()
    client.openStream(0)
    client.timeout(0)
    client.timeout(1)
    expect(client.deadline).toBe(3_600_000)
  })

  it('a server that has never shown itself gets 60 s, streams or not', () => {
    const client = flushedClient()
    client.openStream(0)
    client.timeout(1)
    expect(told(client.timeout(1_000))).toEqual(['accept 1'])
    // It stood for the open timer; what was accepted has none.
    expect(client.timeout(10_000)).toEqual([])
    expect(client.deadline).toBe(60_001)
    expect(told(client.timeout(60_001))).toEqual(['closed ERR_CONNECTION_TIMEOUT'])
  })
})

describe('stream timers', () => {
  it('D26: a SYN without an answer for 10 s ends that stream alone', () => {
    const client = openClient()
    client.openStream(0)
    client.openStream(4_000)
    client.timeout(4_001)
    client.receive(write.synack(2), 4_100)
    client.takeWrites()
    expect(client.timeout(9_999)).toEqual([])
    expect(told(client.timeout(10_000))).toEqual(['close 1 ERR_STREAM_OPEN_TIMEOUT'])
    expect(said(client)).toEqual(['FIN 1'])
    expect(told(client.receive(write.push(2, 'on'), 10_001))).toEqual(['data 2 on'])
  })

  it('a frame for one stream is no answer for another', () => {
    const client = openClient()
    client.openStream(0)
    client.openStream(0)
    client.receive(write.synack(2), 9_000)
    expect(told(client.timeout(10_000))).toEqual(['close 1 ERR_STREAM_OPEN_TIMEOUT'])
  })

  it('before the version is known the open timer runs, too: settings at the last moment leave it', () => {
    const client = flushedClient({ timeouts: { answer: 2_000, streamOpen: 1_500 } })
    client.openStream(0)
    expect(told(client.timeout(1_500))).toEqual(['close 1 ERR_STREAM_OPEN_TIMEOUT'])
  })

  it('while reading is stopped no silence counts', () => {
    const client = openClient()
    client.openStream(0)
    client.receive(write.synack(1), 0)
    client.setReading(false, 1_000)
    client.timeout(16_000)
    expect(client.timeout(200_000)).toEqual([])
    client.setReading(true, 200_000)
    expect(told(client.timeout(230_000))).toEqual(['closed ERR_PING_TIMEOUT'])
  })

  it('a stream that lingers is ended at once by the FIN of the server', () => {
    const client = openClient()
    client.openStream(0)
    send(client, 1, 'x', 0)
    client.receive(write.synack(1), 0)
    client.finishStream(1, 10)
    const events = client.receive(concatBytes([write.push(1, 'x'), write.fin(1)]), 29_000)
    expect(told(events)).toEqual(['data 1 x', 'close 1'])
    client.takeWrites()
    client.timeout(40_000)
    expect(said(client)).toEqual([])
  })
})
