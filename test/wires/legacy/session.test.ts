// Sessions on the original wire: what its machines need of their driver, over Duplexes in memory.
import { once } from 'node:events'
import { describe, expect, it, onTestFinished } from 'vitest'
import { PeerCloseError } from '../../../src/errors.ts'
import { CloseCode } from '../../../src/engine/close-code.ts'
import { Session } from '../../../src/session/session.ts'
import type { Stream } from '../../../src/session/stream.ts'
import { createDuplexPair } from '../../support/duplex-pair.ts'
import type { PairEnd } from '../../support/duplex-pair.ts'
import { FakeClock, settle } from '../../support/fake-clock.ts'
import { describeFrames, write } from './frames.ts'
import { makeClient, makeServer } from './support.ts'

/** A client session and the end of a peer that speaks in hand-made frames. */
function clientAndPeer(): { clock: FakeClock; client: Session; end: PairEnd; peer: PairEnd } {
  const clock = new FakeClock()
  const [end, peer] = createDuplexPair()
  peer.resume()
  const client = new Session({ duplex: end, machine: makeClient({}, clock.now()), clock })
  onTestFinished(() => client.destroy())
  return { clock, client, end, peer }
}

/** Two sessions of ours. */
function sessions(): { clock: FakeClock; client: Session; server: Session; serverEnd: PairEnd } {
  const clock = new FakeClock()
  const [clientEnd, serverEnd] = createDuplexPair()
  const server = new Session({
    duplex: serverEnd,
    machine: makeServer({}, clock.now()),
    clock,
    autoAccept: false,
  })
  const client = new Session({ duplex: clientEnd, machine: makeClient({}, clock.now()), clock })
  onTestFinished(() => {
    client.destroy()
    server.destroy()
  })
  return { clock, client, server, serverEnd }
}

async function textOf(stream: Stream): Promise<string> {
  let text = ''
  for await (const chunk of stream) text += String(chunk)
  return text
}

describe('a session on the original wire', () => {
  it('settings, SYN and the first PSH leave in one write, however late in the tick the data comes', async () => {
    const { client, end } = clientAndPeer()
    const stream = client.openStream()
    await settle()
    stream.write('target')
    await settle()
    expect(
      end.written.map((chunk) => describeFrames(chunk).map((one) => one.split(' ')[0])),
    ).toEqual([['AUTH'], ['SETTINGS', 'SYN', 'PSH']])
  })

  it('under version 1 the application hears of acceptance without a byte from the server', async () => {
    const { clock, client } = clientAndPeer()
    const first = client.openStream()
    let accepted = 0
    void first.accepted().then(() => (accepted += 1))
    await clock.advance(999)
    expect(accepted).toBe(0)
    await clock.advance(1)
    expect(accepted).toBe(1)
    void client
      .openStream()
      .accepted()
      .then(() => (accepted += 1))
    await clock.advance(0)
    expect(accepted).toBe(2)
    expect(client.established).toBe(false)
  })

  it('the text of a SYNACK reaches the application as the reason', async () => {
    const { client, server } = sessions()
    server.on('stream', (stream) => stream.reset(CloseCode.DestinationUnreachable, 'no route'))
    const stream = client.openStream()
    stream.on('error', () => {})
    stream.write('target')
    const error: unknown = await stream.accepted().catch((cause: unknown) => cause)
    expect(error).toBeInstanceOf(PeerCloseError)
    expect(error).toMatchObject({
      code: 'ERR_STREAM_RESET',
      closeCode: CloseCode.DestinationUnreachable,
      reason: 'no route',
    })
  })

  it('an application that takes its time has SYNACK sent for it, and may still refuse', async () => {
    const { clock, client, server, serverEnd } = sessions()
    const arrived = once(server, 'stream')
    const stream = client.openStream()
    stream.write('target')
    const [served] = (await arrived) as [Stream]
    await clock.advance(2_000)
    await stream.accepted()
    served.reset(CloseCode.Timeout, 'too late')
    expect(await textOf(stream)).toBe('')
    expect(describeFrames(Buffer.concat(serverEnd.written))).toEqual([
      'SERVER v=2',
      'SYNACK 1',
      'FIN 1',
    ])
  })

  it('a client that ends its direction still reads the whole answer', async () => {
    const { client, server } = sessions()
    server.on('stream', (served) => {
      served.once('data', () => served.end('the answer'))
    })
    const stream = client.openStream()
    stream.end('question')
    expect(await textOf(stream)).toBe('the answer')
  })

  it('pings and an idle connection: heartbeats go both ways, and closing ends both', async () => {
    const { clock, client, server } = sessions()
    client.openStream().destroy()
    await settle()
    const ping = client.ping()
    await settle()
    expect(await ping).toBe(0)
    await clock.advance(120_000)
    expect([client.closed, server.closed]).toEqual([false, false])
    const ended = once(server, 'close')
    await Promise.all([client.close(), ended])
    expect([client.closed, server.closed]).toEqual([true, true])
  })

  it('bad input: the alert of a server reaches the streams as one clean line', async () => {
    const { client, peer } = clientAndPeer()
    const stream = client.openStream()
    const failed = once(stream, 'error')
    await settle()
    peer.write(write.alert('go\x07 away'))
    const [error] = (await failed) as [Error]
    expect(error).toMatchObject({ code: 'ERR_ALERT_RECEIVED' })
    expect(error.message).toBe('the peer sent an alert: go? away')
  })
})
