// What the server's frames mean to the streams of a client, on the draft alone.
import { describe, expect, it } from 'vitest'
import { concatBytes } from '../../../src/codec/bytes.ts'
import { write } from '../../support/v1-frames.ts'
import { makeClient, openClient, said, told } from './support.ts'
import type { Client } from './support.ts'

function withStream(): Client {
  const client = openClient()
  client.openStream(0)
  client.takeWrites()
  return client
}

describe('STREAM frames from the server', () => {
  it('D5: DATA and RST are applied in that order; no flag does nothing', () => {
    const expected: Record<number, string[]> = {
      0: [],
      1: ['close 1 ERR_STREAM_RESET'],
      2: ['accept 1', 'data 1 x'],
      3: ['accept 1', 'data 1 x', 'close 1'],
    }
    for (const [flags, events] of Object.entries(expected)) {
      const client = withStream()
      expect(told(client.receive(write.stream(Number(flags), 1, 'x'), 0)), flags).toEqual(events)
      expect(client.takeWrites(), flags).toEqual([])
    }
  })

  it('D6: what came before RST is delivered before the end', () => {
    const frames = [write.ack(1), write.data(1, 'all '), write.data(1, 'of it'), write.rst(1)]
    expect(told(withStream().receive(concatBytes(frames), 0))).toEqual([
      'accept 1',
      'data 1 all ',
      'data 1 of it',
      'close 1',
    ])
  })

  it('D7: STREAM_ACK tells that the stream is accepted, once', () => {
    const client = withStream()
    expect(told(client.receive(write.ack(1), 0))).toEqual(['accept 1'])
    expect(client.receive(write.ack(1), 0)).toEqual([])
    expect(told(client.receive(write.data(1, 'x'), 0))).toEqual(['data 1 x'])
  })

  it('D7: RST in place of STREAM_ACK is a refusal, RST after it is the end', () => {
    const refused = withStream().receive(write.rst(1), 0)
    expect(told(refused)).toEqual(['close 1 ERR_STREAM_RESET'])
    const [event] = refused
    expect(event?.type === 'close' && event.error).toMatchObject({ closeCode: 0, reason: '' })
    const client = withStream()
    client.receive(write.ack(1), 0)
    expect(told(client.receive(write.rst(1), 0))).toEqual(['close 1'])
  })

  it('D7: a frame without meaning does not make a refusal of an end', () => {
    const client = withStream()
    expect(client.receive(write.stream(0, 1), 0)).toEqual([])
    expect(told(client.receive(write.rst(1), 0))).toEqual(['close 1 ERR_STREAM_RESET'])
  })

  it('D11: frames for a stream that is over are ignored, those for one never opened are a violation', () => {
    const frames = [write.data(1, 'x'), write.rst(1), write.ack(1), write.stream(0, 1)]
    for (const frame of frames) {
      const client = withStream()
      client.resetStream(1, 0, '', 0)
      client.takeWrites()
      expect(client.receive(frame, 0)).toEqual([])
      expect(client.takeWrites()).toEqual([])
    }
    const above = [write.data(2, 'x'), write.rst(2), write.ack(2), write.stream(0, 2)]
    for (const frame of above) {
      const client = withStream()
      expect(told(client.receive(frame, 0))).toEqual(['closed ERR_PROTOCOL_VIOLATION'])
      expect(said(client)).toEqual(['ALERT stream 2 was never opened'])
    }
  })

  it('empty DATA is no event', () => {
    expect(told(withStream().receive(write.data(1, ''), 0))).toEqual([])
  })

  it('without mux1 nothing limits what may be sent, and nothing is said about what was read', () => {
    const early = makeClient()
    expect(early.credit(early.openStream(0))).toBe(Number.MAX_SAFE_INTEGER)
    const client = withStream()
    expect(client.flowControlled).toBe(false)
    expect(client.credit(1)).toBe(Number.MAX_SAFE_INTEGER)
    client.sendData(1, [new Uint8Array(65_535)], 65_535, 0)
    expect(client.credit(1)).toBe(Number.MAX_SAFE_INTEGER)
    client.takeWrites()
    client.receive(write.data(1, new Uint8Array(1_000_000)), 0)
    client.consumed(1, 1_000_000, 0)
    expect(client.takeWrites()).toEqual([])
  })

  it('what a call has returned never changes afterwards', () => {
    const client = withStream()
    const events = client.receive(write.padding(1), 0)
    const writes = client.takeWrites()
    client.receive(concatBytes([write.ping(), write.data(1, 'x')]), 0)
    expect(events).toEqual([])
    expect(writes).toEqual([])
  })

  it('D9: a client accepts no stream of its own', () => {
    const client = withStream()
    client.acceptStream(1, 0)
    expect(client.takeWrites()).toEqual([])
    expect(told(client.receive(write.ack(1), 0))).toEqual(['accept 1'])
  })

  it('calls for a stream that is not there are ignored', () => {
    const client = withStream()
    client.sendData(7, [new Uint8Array(1)], 1, 0)
    client.acceptStream(7, 0)
    client.consumed(7, 1, 0)
    expect(client.finishStream(7, 0)).toEqual([])
    expect(client.resetStream(7, 0, '', 0)).toEqual([])
    expect(client.credit(7)).toBe(0)
    expect(client.takeWrites()).toEqual([])
  })
})
