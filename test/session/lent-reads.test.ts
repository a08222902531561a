// Sockets that lend what they read: the same buffer each time, nothing lost of what came before anybody took it.
import { once } from 'node:events'
import { connect, createServer, Socket } from 'node:net'
import type { AddressInfo } from 'node:net'
import { PassThrough } from 'node:stream'
import { describe, expect, it, onTestFinished } from 'vitest'
import {
  dropReads,
  holdReads,
  keepReads,
  lendReads,
  LentReads,
  readsAreLent,
  takeReads,
  WIDE_READ,
  widenReads,
} from '../../src/session/lent-reads.ts'

/** Two ends of a connection on loopback: one that connected, with `options`, one that was accepted and is not read. */
async function connectPair(reads?: LentReads): Promise<{ connected: Socket; accepted: Socket }> {
  const server = createServer({ pauseOnConnect: true })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const options = { port, host: '127.0.0.1', ...(reads && { onread: reads.onread }) }
  const connected = connect(options)
  const [accepted] = (await once(server, 'connection')) as [Socket]
  onTestFinished(() => {
    connected.destroy()
    accepted.destroy()
    server.close()
  })
  for (const socket of [connected, accepted]) socket.on('error', () => {})
  return { connected: reads?.of(connected) ?? connected, accepted }
}

/** Takes what a socket reads, as text and with the buffers that it was in. */
function collect(socket: Socket) {
  const buffers = new Set<unknown>()
  const offsets = new Set<number>()
  const lengths: number[] = []
  let text = ''
  const waiting: { readonly wanted: string; readonly resolve: () => void }[] = []
  const take = (bytes: Uint8Array): void => {
    buffers.add(bytes.buffer)
    offsets.add(bytes.byteOffset)
    lengths.push(bytes.length)
    text += Buffer.from(bytes).toString()
    for (const { wanted, resolve } of waiting) if (text === wanted) resolve()
  }
  takeReads(socket, take)
  const received = (wanted: string): Promise<void> =>
    text === wanted
      ? Promise.resolve()
      : new Promise((resolve) => waiting.push({ wanted, resolve }))
  return { take, buffers, offsets, lengths, received, text: () => text }
}

/** The bytes are with the kernel of the other end, and it has looked for what came. */
async function deliver(from: Socket, text: string): Promise<void> {
  await new Promise((resolve) => from.write(text, resolve))
}

/** Of the loop. */
async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setImmediate(resolve))
}

describe('a socket that was accepted', () => {
  it('lends what it reads in one buffer, which it has together with all others', async () => {
    const [one, other] = [await connectPair(), await connectPair()]
    for (const { accepted } of [one, other]) {
      expect(readsAreLent(accepted)).toBe(false)
      lendReads(accepted, 'tcp')
      expect(readsAreLent(accepted)).toBe(true)
    }
    const [ours, others] = [collect(one.accepted), collect(other.accepted)]
    await deliver(one.connected, 'first ')
    await ours.received('first ')
    await deliver(other.connected, 'between')
    await others.received('between')
    await deliver(one.connected, 'second')
    await ours.received('first second')
    expect(ours.buffers.size).toBe(1)
    expect([...ours.buffers][0]).toBe([...others.buffers][0])
    expect(one.accepted.listenerCount('data')).toBe(0)
  })

  it('takes at most what fills eight records with its heads in one read, and the rest in the next', async () => {
    const { connected, accepted } = await connectPair()
    lendReads(accepted, 'tcp')
    const taken = collect(accepted)
    connected.write('x'.repeat(3_000_000))
    await taken.received('x'.repeat(3_000_000))
    expect(Math.max(...taken.lengths)).toBe(131_040)
  })

  it('keeps what came before anybody took it, reads no more until then, and gives it first', async () => {
    const { connected, accepted } = await connectPair()
    lendReads(accepted, 'tcp')
    accepted.resume()
    await deliver(connected, 'early ')
    while (accepted.bytesRead === 0) await new Promise((resolve) => setImmediate(resolve))
    await deliver(connected, 'and late')
    const taken = collect(accepted)
    // Before anything else is read.
    expect(taken.text()).toBe('early ')
    await taken.received('early and late')
  })

  it('is to be read no further before anybody has taken what came, and on then', () => {
    const reads = new LentReads('tcp')
    const socket = reads.of(new Socket())
    expect(reads.onRead(3, new Uint8Array(3))).toBe(false)
    takeReads(socket, () => {})
    expect(reads.onRead(3, new Uint8Array(3))).toBe(true)
  })

  it('is not changed while something waits in it to be read, or after its end', async () => {
    const { connected, accepted } = await connectPair()
    accepted.resume()
    accepted.pause()
    await deliver(connected, 'waits')
    accepted.read(0)
    await once(accepted, 'readable')
    lendReads(accepted, 'tcp')
    expect(readsAreLent(accepted)).toBe(false)
    expect(String(accepted.read())).toBe('waits')
    connected.end()
    accepted.resume()
    await once(accepted, 'end')
    lendReads(accepted, 'tcp')
    expect(readsAreLent(accepted)).toBe(false)
  })

  it('has its reads once, however often it is asked to lend them', async () => {
    const { connected, accepted } = await connectPair()
    lendReads(accepted, 'tcp')
    const taken = collect(accepted)
    lendReads(accepted, 'tls')
    await deliver(connected, 'still taken')
    await taken.received('still taken')
  })

  it('is left alone where it has nothing that reads', () => {
    const socket = new Socket()
    lendReads(socket, 'tcp')
    expect(readsAreLent(socket)).toBe(false)
    Object.assign(socket, { _handle: {} })
    lendReads(socket, 'tcp')
    expect(readsAreLent(socket)).toBe(false)
    Object.assign(socket, { _handle: null })
  })
})

describe('a socket that connects', () => {
  it('lends what it reads, in another buffer for what TLS carries than for TCP', async () => {
    const buffers: unknown[] = []
    for (const kind of ['tcp', 'tls'] as const) {
      const { connected, accepted } = await connectPair(new LentReads(kind))
      expect(readsAreLent(connected)).toBe(true)
      const taken = collect(connected)
      await deliver(accepted, 'hello')
      await taken.received('hello')
      expect(taken.buffers.size).toBe(1)
      buffers.push(...taken.buffers)
    }
    expect(buffers[0]).not.toBe(buffers[1])
  })
})

describe('a wide read', () => {
  const BYTES = 4 << 20

  /** @returns how much each read brought, each of which found more than fits into a wide one */
  async function readsOf(socket: Socket, peer: Socket, isWide: (count: number) => boolean) {
    const lengths: number[] = []
    let [got, count] = [0, 0]
    const all = new Promise<void>((resolve) => {
      takeReads(socket, (bytes) => {
        lengths.push(bytes.length)
        got += bytes.length
        widenReads(socket, isWide((count += 1)))
        if (got === BYTES) resolve()
        socket.pause()
        // The peer writes meanwhile what the kernel has room for.
        void turns(5).then(() => socket.resume())
      })
    })
    peer.write(Buffer.alloc(BYTES))
    await all
    return lengths
  }

  it.each(['accepted', 'connected'] as const)(
    'follows where it is asked for, and no other does, on a socket that was %s',
    async (which) => {
      const pair = await connectPair(which === 'connected' ? new LentReads('tcp') : undefined)
      const [socket, peer] = [pair[which], pair[which === 'accepted' ? 'connected' : 'accepted']]
      if (which === 'accepted') lendReads(socket, 'tcp')
      const lengths = await readsOf(socket, peer, (count) => count > 30 && count <= 45)
      const wide = lengths.map((bytes) => bytes > 131_040)
      expect(wide.indexOf(true)).toBeGreaterThan(30)
      expect(wide.lastIndexOf(true)).toBeLessThanOrEqual(45)
      expect(Math.max(...lengths)).toBeLessThanOrEqual(WIDE_READ)
    },
  )

  it('begins where those of other sockets do', async () => {
    const [one, other] = await Promise.all([connectPair(), connectPair()])
    const taken = [one, other].map(({ accepted }) => {
      lendReads(accepted, 'tcp')
      return collect(accepted)
    })
    await deliver(one.connected, 'a')
    await taken[0]!.received('a')
    widenReads(one.accepted, true)
    for (const [pair, reads, text] of [
      [one, taken[0]!, 'ab'],
      [one, taken[0]!, 'abc'],
      [other, taken[1]!, 'd'],
    ] as const) {
      await deliver(pair.connected, text.at(-1)!)
      await reads.received(text)
    }
    expect(new Set(taken.flatMap(({ buffers }) => [...buffers])).size).toBe(1)
    expect(taken.flatMap(({ offsets }) => [...offsets])).toEqual([0, 0])
  })

  it('is none of a socket that lends nothing, or of what TLS carries', async () => {
    expect(() => widenReads(new Socket(), true)).not.toThrow()
    const { connected, accepted } = await connectPair(new LentReads('tls'))
    widenReads(connected, true)
    const taken = collect(connected)
    accepted.write('x'.repeat(3_000_000))
    await taken.received('x'.repeat(3_000_000))
    expect(Math.max(...taken.lengths)).toBe(131_040)
  })
})

describe('reads that are lent', () => {
  it('are in data events from when they are to be kept, what came before first', async () => {
    const { connected, accepted } = await connectPair()
    lendReads(accepted, 'tcp')
    accepted.resume()
    await deliver(connected, 'early ')
    while (accepted.bytesRead === 0) await new Promise((resolve) => setImmediate(resolve))
    keepReads(accepted)
    expect(readsAreLent(accepted)).toBe(false)
    const chunks: Buffer[] = []
    accepted.on('data', (chunk: Buffer) => chunks.push(chunk))
    for (const [next, length] of [
      ['', 6],
      ['and late', 14],
      ['!', 15],
    ] as const) {
      await deliver(connected, next)
      while (Buffer.concat(chunks).length < length) await once(accepted, 'data')
    }
    // Each is the reader's own: the next has not changed it.
    expect(String(Buffer.concat(chunks))).toBe('early and late!')
  })

  it('slow their peer down where they are to be kept and are not read', async () => {
    const { connected, accepted } = await connectPair()
    lendReads(accepted, 'tcp')
    keepReads(accepted)
    accepted.read(0)
    for (let count = 0; count < 200; count += 1) connected.write(Buffer.alloc(65_536))
    while (accepted.readableLength < accepted.readableHighWaterMark) {
      await new Promise((resolve) => setImmediate(resolve))
    }
    for (let round = 0; round < 50; round += 1)
      await new Promise((resolve) => setImmediate(resolve))
    expect(accepted.readableLength).toBeLessThan(4 * 65_536)
  })

  it('wait while nobody takes them, behind the rest of what was given, and the end behind all', async () => {
    const [{ connected, accepted }, other] = [await connectPair(), await connectPair()]
    for (const each of [accepted, other.accepted]) lendReads(each, 'tcp')
    let ended = false
    accepted.on('end', () => (ended = true))
    const first = new Promise<void>((resolve) => {
      const take = (bytes: Uint8Array): void => {
        holdReads(accepted, take, bytes.subarray('request '.length))
        resolve()
      }
      takeReads(accepted, take)
    })
    await deliver(connected, 'request rest ')
    await first
    // The buffer serves others meanwhile.
    const others = collect(other.accepted)
    await deliver(other.connected, 'x'.repeat(100))
    await others.received('x'.repeat(100))
    connected.end('and more')
    await turns(50)
    expect(ended).toBe(false)
    const over = once(accepted, 'end')
    const taken = collect(accepted)
    await taken.received('rest and more')
    await over
  })

  it('show while nobody takes them that the other end is gone, and slow it down', async () => {
    const [{ connected, accepted }, slow] = [await connectPair(), await connectPair()]
    for (const each of [accepted, slow.accepted]) {
      lendReads(each, 'tcp')
      const take = (bytes: Uint8Array): void => holdReads(each, take, bytes)
      takeReads(each, take)
    }
    await deliver(connected, 'something')
    await turns(5)
    const closed = new Promise((resolve) => accepted.once('close', resolve))
    connected.resetAndDestroy()
    await closed
    for (let count = 0; count < 200; count += 1) slow.connected.write(Buffer.alloc(65_536))
    while (slow.accepted.readableLength < slow.accepted.readableHighWaterMark) await turns(1)
    await turns(50)
    expect(slow.accepted.readableLength).toBeLessThan(4 * 65_536)
  })

  it('show an end while nobody takes them, when nothing was left', async () => {
    const { connected, accepted } = await connectPair()
    lendReads(accepted, 'tcp')
    const take = (bytes: Uint8Array): void =>
      holdReads(accepted, take, bytes.subarray(bytes.length))
    takeReads(accepted, take)
    await deliver(connected, 'request')
    connected.end()
    await once(accepted, 'end')
  })

  it('go nowhere once they are dropped, and hold up nobody', async () => {
    const { connected, accepted } = await connectPair()
    lendReads(accepted, 'tcp')
    const taken = collect(accepted)
    dropReads(accepted, taken.take)
    let ended = false
    accepted.on('end', () => (ended = true))
    connected.end(Buffer.alloc(300_000))
    await once(accepted, 'end')
    expect([ended, taken.text()]).toEqual([true, ''])
  })
})

describe('a Duplex that lends nothing', () => {
  it('is read by its data events, until that is dropped', () => {
    const duplex = new PassThrough()
    const chunks: string[] = []
    const take = (bytes: Uint8Array): void => void chunks.push(String(bytes))
    takeReads(duplex, take)
    expect(readsAreLent(duplex)).toBe(false)
    duplex.emit('data', Buffer.from('one'))
    keepReads(duplex)
    dropReads(duplex, take)
    duplex.emit('data', Buffer.from('two'))
    expect(chunks).toEqual(['one'])
    expect(duplex.listenerCount('data')).toBe(0)
    takeReads(duplex, take)
    keepReads(duplex, take)
    expect(duplex.listenerCount('data')).toBe(0)
  })

  it('keeps what comes while nobody takes it, behind the rest of what was given', async () => {
    const { connected, accepted } = await connectPair()
    const first = new Promise<void>((resolve) => {
      const take = (bytes: Uint8Array): void => {
        holdReads(accepted, take, bytes.subarray('request '.length))
        resolve()
      }
      takeReads(accepted, take)
      accepted.resume()
    })
    await deliver(connected, 'request rest ')
    await first
    connected.end('and more')
    await turns(50)
    expect(accepted.readableEnded).toBe(false)
    const ended = once(accepted, 'end')
    const taken = collect(accepted)
    accepted.resume()
    await taken.received('rest and more')
    await ended
  })
})
