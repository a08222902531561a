// KeepAlive and the timers of Mux.Pro.
import { describe, expect, it } from 'vitest'
import { write } from './frames.ts'
import { openClient, openServer, said, sendText, TCP, told } from './support.ts'

describe('KeepAlive', () => {
  it('sections 5.1, 5.2: either end sends one after 15 s in which it has sent nothing else', () => {
    for (const machine of [openClient(), openServer()]) {
      expect(machine.deadline).toBe(15_000)
      machine.timeout(14_999)
      expect(said(machine)).toEqual([])
      machine.timeout(15_000)
      expect(said(machine)).toEqual(['KEEPALIVE'])
      expect(machine.deadline).toBe(30_000)
    }
  })

  it('what else is sent puts it off', () => {
    const client = openClient()
    client.openStream(9_000, TCP)
    sendText(client, 1, 'data', 9_000)
    client.timeout(15_000)
    expect(said(client)).toEqual(['NEW 1 tcp 192.0.2.1:80 p128 +data'])
    expect(client.deadline).toBe(24_000)
  })

  it('section 6.3.5: its id refers to no sub-connection', () => {
    const server = openServer()
    server.receive(write.new(7), 0)
    expect(server.receive(write.keepAlive(7), 1)).toEqual([])
    expect(server.receive(write.keepAlive(0xffff), 1)).toEqual([])
    expect(server.streamCount).toBe(1)
  })

  it('no ping is ever sent: nobody would answer it', () => {
    const client = openClient()
    expect([client.pingable, client.ping(0)]).toEqual([false, false])
    expect(said(client)).toEqual([])
  })
})

describe('silence of the peer', () => {
  const setup = { timeouts: { keepalive: Infinity } }

  it('ends a connection without sub-connections after 60 s', () => {
    const server = openServer(setup)
    server.receive(write.keepAlive(), 5_000)
    expect(server.deadline).toBe(65_000)
    expect(told(server.timeout(65_000))).toEqual(['closed ERR_CONNECTION_TIMEOUT'])
  })

  it('means nothing while there are sub-connections and the peer has never sent a KeepAlive', () => {
    const server = openServer(setup)
    server.receive(write.new(1), 0)
    expect(server.deadline).toBe(3_600_000)
    server.receive(write.end(1), 10_000)
    expect(server.deadline).toBe(70_000)
  })

  it('of a peer that has sent one ends the connection, and every sub-connection with code 2', () => {
    const server = openServer(setup)
    server.receive(write.new(1), 0)
    server.receive(write.keepAlive(), 1_000)
    expect(server.deadline).toBe(61_000)
    server.receive(write.keep(1, 'data'), 2_000)
    expect(told(server.timeout(61_000))).toEqual([])
    expect(told(server.timeout(62_000))).toEqual(['closed ERR_CONNECTION_TIMEOUT'])
    expect(said(server)).toEqual(['END 1 2'])
  })

  it('means nothing while this end does not read, and bytes that leave are a sign of life', () => {
    const server = openServer(setup)
    server.setReading(false, 10_000)
    expect(server.timeout(100_000)).toEqual([])
    server.setReading(true, 100_000)
    expect(server.deadline).toBe(160_000)
    server.progress(120_000)
    expect(server.deadline).toBe(180_000)
    expect(told(server.timeout(180_000))).toEqual(['closed ERR_CONNECTION_TIMEOUT'])
  })
})

describe('a silent sub-connection', () => {
  it('D26: ends after an hour without a frame, with code 2, and no other with it', () => {
    const server = openServer({ timeouts: { keepalive: Infinity } })
    server.receive(write.new(1), 0)
    server.receive(write.new(2), 0)
    server.receive(write.keep(2), 1_000)
    expect(told(server.timeout(3_600_000))).toEqual(['close 1 ERR_STREAM_TIMEOUT'])
    expect(said(server)).toEqual(['END 1 2'])
    expect(server.streamCount).toBe(1)
  })
})
