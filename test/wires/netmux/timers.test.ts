// The timers of a net-mux machine, to the millisecond: keepalive, its timeout, the open timeout.
import { describe, expect, it } from 'vitest'
import { told } from '../anytls/support.ts'
import { write } from './frames.ts'
import { makeMachine, said } from './support.ts'

describe('net-mux timers', () => {
  it('net-mux: a silent peer is sent a Ping after 30 s, with and without streams', () => {
    for (const streams of [0, 1]) {
      const client = makeMachine('client', {}, 1_000)
      for (let opened = 0; opened < streams; opened += 1) client.openStream(1_000)
      client.receive(streams > 0 ? write.ack(1) : write.ping(1), 2_000)
      client.takeWrites()
      // A look at the stream, whose open timeout was met.
      client.timeout(11_000)
      expect(client.deadline).toBe(32_000)
      client.timeout(31_999)
      expect(said(client)).toEqual([])
      client.timeout(32_000)
      expect(said(client)).toEqual(['PING 1'])
    }
  })

  it('net-mux: a Ping without an answer ends the session after 30 s with GoAway 6', () => {
    const client = makeMachine('client')
    client.timeout(30_000)
    client.takeWrites()
    expect(client.deadline).toBe(60_000)
    expect(client.timeout(59_999)).toEqual([])
    expect(told(client.timeout(60_000))).toEqual(['closed ERR_PING_TIMEOUT'])
    expect(said(client)).toEqual(['GOAWAY 6'])
    expect(client.deadline).toBe(Infinity)
  })

  it('net-mux: an answer starts the interval anew, any other frame puts the timeout off', () => {
    const client = makeMachine('client')
    client.timeout(30_000)
    client.receive(write.ping(9), 50_000)
    expect(client.deadline).toBe(80_000)
    client.receive(write.pong(1), 70_000)
    expect(client.deadline).toBe(100_000)
  })

  it('net-mux: the interval and the timeout are those of the options', () => {
    const client = makeMachine('client', { keepaliveInterval: 10, keepaliveTimeout: 5 })
    expect(client.deadline).toBe(10)
    client.timeout(10)
    expect(client.deadline).toBe(15)
  })

  it('net-mux: without an interval nobody is asked, and an idle session stays', () => {
    const client = makeMachine('client', { keepaliveInterval: Infinity })
    expect(client.deadline).toBe(Infinity)
    expect(client.timeout(1e12)).toEqual([])
    expect(said(client)).toEqual([])
    // A ping of the application has the timeout all the same.
    client.ping(0)
    expect(client.deadline).toBe(30_000)
  })

  it('net-mux: a stream without the ACK of the peer ends after 10 s with RST, and nothing else does', () => {
    const client = makeMachine('client')
    client.openStream(0)
    client.openStream(4_000)
    client.takeWrites()
    expect(client.deadline).toBe(10_000)
    expect(client.timeout(9_999)).toEqual([])
    expect(told(client.timeout(10_000))).toEqual(['close 1 ERR_STREAM_OPEN_TIMEOUT'])
    expect(said(client)).toEqual(['DATA 1 RST'])
    expect(client.deadline).toBe(14_000)
    client.receive(write.ack(3), 13_999)
    client.timeout(14_000)
    expect(client.streamCount).toBe(1)
    expect(client.deadline).toBe(43_999)
  })

  it('net-mux: a stream that the peer opened waits for its application as long as that takes', () => {
    const server = makeMachine('server', { keepaliveInterval: Infinity })
    server.receive(write.syn(1), 0)
    expect(server.deadline).toBe(Infinity)
  })

  it('net-mux: while reading is stopped the silence of the peer means nothing', () => {
    const client = makeMachine('client')
    client.openStream(0)
    client.timeout(30_000)
    client.setReading(false, 30_000)
    expect(client.deadline).toBe(Infinity)
    client.setReading(true, 90_000)
    expect(client.deadline).toBeGreaterThan(90_000)
  })
})
