// What users may: how much, how fast, how many; and that every byte of theirs is counted once.
import { createSocket } from 'node:dgram'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { describe, expect, it, onTestFinished } from 'vitest'
import { encodeUdpPacket, encodeUdpRequest, UdpOverTcpHost } from '../../src/codec/udp-over-tcp.ts'
import type { Address } from '../../src/codec/address.ts'
import { createTunnelOpener } from '../../src/proxy/client.ts'
import type { TunnelStream } from '../../src/proxy/tunnel.ts'
import type { UserStore } from '../../src/serve/users/store.ts'
import type { Session } from '../../src/session/session.ts'
import { muxProClient } from '../../src/session/muxpro.ts'
import { openStore, startUsersProxy } from './support.ts'

const FREE = { allowPrivate: true } as const

/** A target that each connection is given to. */
async function startTarget(serve: (socket: Socket) => void): Promise<Address> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {})
    serve(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return { host: '127.0.0.1', port: (server.address() as AddressInfo).port }
}

/** Resolves when it is over, however it ended. */
function closed(emitter: NodeJS.EventEmitter): Promise<void> {
  return new Promise((resolve) => emitter.once('close', () => resolve()))
}

function open(session: Session, target: Address): Promise<TunnelStream> {
  return createTunnelOpener(session)(target, new AbortController().signal)
}

/** Sums of a user once what is under way has been counted. */
async function settled(store: UserStore, id: string, least: number) {
  const until = performance.now() + 6_000
  for (;;) {
    const { up, down } = store.usage.of(id)
    if (up + down >= least || performance.now() > until) return { up, down }
    await sleep(50)
  }
}

function* endless(): Iterable<Buffer> {
  for (;;) yield Buffer.alloc(65_536)
}

/** One tunnel: what the program sends and the target answers, and who breaks it off, if anybody. */
interface Transfer {
  readonly up: readonly number[]
  readonly down: readonly number[]
  readonly reset: 'nobody' | 'program' | 'target'
}

const transfer: fc.Arbitrary<Transfer> = fc.record({
  up: fc.array(fc.integer({ min: 1, max: 40_000 }), { maxLength: 4 }),
  down: fc.array(fc.integer({ min: 1, max: 40_000 }), { maxLength: 4 }),
  reset: fc.constantFrom('nobody', 'nobody', 'program', 'target'),
})

const sum = (sizes: readonly number[]) => sizes.reduce((total, size) => total + size, 0)

/** What each end saw of a tunnel. */
interface Seen {
  sent: number
  got: number
}

/** Runs one transfer; resolves with what the program and the target saw. */
async function run(session: Session, { up, down, reset }: Transfer): Promise<[Seen, Seen]> {
  const [program, far]: [Seen, Seen] = [
    { sent: 0, got: 0 },
    { sent: 0, got: 0 },
  ]
  const broken = reset !== 'nobody'
  let targetOver: Promise<unknown> = Promise.resolve()
  const target = await startTarget((socket) => {
    targetOver = closed(socket)
    socket.on('data', (data) => (far.got += data.length))
    for (const size of down) {
      socket.write(Buffer.alloc(size))
      far.sent += size
    }
    if (reset === 'target') setTimeout(() => socket.resetAndDestroy(), 20)
    else socket.end()
  })
  const stream = await open(session, target)
  const over = closed(stream)
  stream.on('data', (data: Buffer) => (program.got += data.length))
  for (const size of up) {
    stream.write(Buffer.alloc(size))
    program.sent += size
  }
  if (reset === 'program') setTimeout(() => stream.destroy(new Error('given up')), 20)
  else stream.end()
  await over
  await targetOver
  if (!broken) expect([program.got, far.got]).toEqual([sum(down), sum(up)])
  return [program, far]
}

describe('Issue 12.2: what users use', () => {
  it('is counted to the byte over random traffic, resets included', async () => {
    const { store } = await openStore()
    const { id } = await store.add({ name: 'alice', password: 'a', ...FREE })
    const server = await startUsersProxy(store)
    const sessions = [
      await server.connect({ password: 'a' }),
      await server.connect({ password: 'a' }),
    ]
    let before = { up: 0, down: 0 }
    await fc.assert(
      fc.asyncProperty(fc.array(transfer, { minLength: 1, maxLength: 6 }), async (transfers) => {
        const seen = await Promise.all(
          transfers.map((one, index) => run(sessions[index % 2]!, one)),
        )
        await sleep(20)
        server.accounts.count()
        const after = store.usage.of(id)
        const [up, down] = [after.up - before.up, after.down - before.down]
        before = after
        // Of what was broken off, bytes may be lost before us or behind us: between the two ends stands the count.
        // Where nothing was, both ends have seen the same.
        const total = (see: (ends: [Seen, Seen]) => number) => sum(seen.map(see))
        expect(up).toBeGreaterThanOrEqual(total(([, far]) => far.got))
        expect(up).toBeLessThanOrEqual(total(([program]) => program.sent))
        expect(down).toBeGreaterThanOrEqual(total(([program]) => program.got))
        expect(down).toBeLessThanOrEqual(total(([, far]) => far.sent))
      }),
      { numRuns: 12 },
    )
  })

  it('is exactly what was sent and got where nothing breaks, and stands in the file', async () => {
    const { store, file } = await openStore()
    const { id } = await store.add({ name: 'alice', password: 'a', ...FREE })
    const server = await startUsersProxy(store)
    const session = await server.connect({ password: 'a' })
    await Promise.all(
      [1, 2, 3].map((size) =>
        run(session, { up: [size, 70_000], down: [100_000, size], reset: 'nobody' }),
      ),
    )
    expect(await settled(store, id, 510_012)).toEqual({ up: 210_006, down: 300_006 })
    await store.usage.flush()
    const other = await openStore(file)
    expect(other.store.usage.of(id)).toEqual({ up: 210_006, down: 300_006 })
  })

  it('counts the payload of datagrams, through UDP over TCP and Mux.Pro', async () => {
    const { store } = await openStore()
    const { id } = await store.add({ name: 'alice', password: 'a', ...FREE })
    const server = await startUsersProxy(store)
    const session = await server.connect({ password: 'a' })
    const udp = createSocket('udp4')
    udp.on('message', (data, { port, address }) =>
      udp.send(Buffer.concat([data, data]), port, address),
    )
    udp.bind(0, '127.0.0.1')
    await once(udp, 'listening')
    onTestFinished(() => void udp.close())
    const target = { host: '127.0.0.1', port: udp.address().port }
    const stream = await open(session, { host: UdpOverTcpHost.Version2, port: 0 })
    stream.write(encodeUdpRequest({ isConnect: true, target }))
    stream.write(encodeUdpPacket(undefined, Buffer.alloc(100)))
    await once(stream, 'data')
    expect(await settled(store, id, 300)).toEqual({ up: 100, down: 200 })
    const main = muxProClient(await open(session, { host: 'mux.pro', port: 9527 }))
    const sub = main.openStream({ target, network: 'udp' })
    sub.write(Buffer.alloc(50))
    sub.on('error', () => {})
    await once(sub, 'data')
    expect(await settled(store, id, 450)).toEqual({ up: 150, down: 300 })
  })
})

describe('Issue 12.2: limits', () => {
  it('a quota that is used up ends running sessions within 5 s, with its reason', async () => {
    const { store } = await openStore()
    await store.add({
      name: 'alice',
      password: 'a',
      quota: { bytes: 50_000, per: 'month' },
      ...FREE,
    })
    const server = await startUsersProxy(store)
    const session = await server.connect({ password: 'a' })
    const over = once(session, 'close') as Promise<[Error | undefined]>
    await run(session, { up: [30_000], down: [30_000], reset: 'nobody' })
    const started = performance.now()
    const [error] = await over
    expect(error?.message).toContain('quota')
    expect(performance.now() - started).toBeLessThan(5_000)
  })

  it('a time that is over ends running sessions within 5 s, with its reason', async () => {
    const { store } = await openStore()
    await store.add({ name: 'alice', password: 'a', expires: Date.now() + 500, ...FREE })
    const server = await startUsersProxy(store)
    const session = await server.connect({ password: 'a' })
    const over = once(session, 'close') as Promise<[Error | undefined]>
    await run(session, { up: [1], down: [1], reset: 'nobody' })
    const started = performance.now()
    const [error] = await over
    expect(error?.message).toContain('time of the user is over')
    expect(performance.now() - started).toBeLessThan(5_000)
  })

  it('one session more than allowed is refused, those that run go on', async () => {
    const { store } = await openStore()
    await store.add({ name: 'alice', password: 'a', maxSessions: 2, ...FREE })
    const server = await startUsersProxy(store)
    const sessions = [
      await server.connect({ password: 'a' }),
      await server.connect({ password: 'a' }),
    ]
    for (const session of sessions) await run(session, { up: [1], down: [1], reset: 'nobody' })
    const third = await server.connect({ password: 'a' })
    const over = once(third, 'close') as Promise<[Error | undefined]>
    third
      .openStream()
      .on('error', () => {})
      .write('x')
    const [error] = await over
    expect(error?.message).toContain('as many sessions')
    for (const session of sessions) await run(session, { up: [1], down: [1], reset: 'nobody' })
  })

  it('a session that is over has no place any more, also where somebody counts at that moment', async () => {
    const { store } = await openStore()
    const user = await store.add({ name: 'alice', password: 'a', maxSessions: 1, ...FREE })
    const server = await startUsersProxy(store)
    const count = (): void => server.accounts.count()
    subscribe('anytls:session:close', count)
    onTestFinished(() => void unsubscribe('anytls:session:close', count))
    for (let visit = 0; visit < 2; visit += 1) {
      const session = await server.connect({ password: 'a' })
      await run(session, { up: [1], down: [1], reset: 'nobody' })
      await session.close()
      await expect.poll(() => [...server.accounts.sessionsOf(user)]).toEqual([])
    }
    expect(await settled(store, user.id, 4)).toEqual({ up: 2, down: 2 })
  })

  it('who is renamed in the file goes on as before, and is held to what the file says next', async () => {
    const { store, file } = await openStore()
    const user = await store.add({ name: 'old', password: 'p', ...FREE })
    const server = await startUsersProxy(store)
    const session = await server.connect({ password: 'p' })
    await expect.poll(() => [...server.accounts.sessionsOf(user)]).toHaveLength(1)
    const [running] = server.accounts.sessionsOf(user)
    writeFileSync(file, readFileSync(file, 'utf8').replace('"old"', '"new"'))
    await store.refresh()
    expect(server.accounts.rightsOf(running!)).toMatchObject({ allowPrivate: true })
    await run(session, { up: [5], down: [7], reset: 'nobody' })
    expect(await settled(store, user.id, 12)).toEqual({ up: 5, down: 7 })
    const over = closed(session)
    await store.update('new', { enabled: false })
    await over
  })

  it('who has the former name of another is another: neither ends the other’s sessions', async () => {
    const { store, file } = await openStore()
    const first = await store.add({ name: 'ann', password: 'p', ...FREE })
    const server = await startUsersProxy(store)
    const session = await server.connect({ password: 'p' })
    await expect.poll(() => [...server.accounts.sessionsOf(first)]).toHaveLength(1)
    writeFileSync(file, readFileSync(file, 'utf8').replace('"ann"', '"anna"'))
    await store.refresh()
    await store.add({ name: 'ann', password: 'q', ...FREE })
    const second = await server.connect({ password: 'q' })
    const over = closed(second)
    await store.update('ann', { enabled: false })
    await over
    await run(session, { up: [5], down: [7], reset: 'nobody' })
    expect(session.closed).toBe(false)
  })

  it("rates hold over a user's sessions within 10 %, both ways, and slow nobody else", async () => {
    const { store } = await openStore()
    const rate = 400_000
    await store.add({ name: 'slow', password: 's', maxUp: rate, maxDown: rate, ...FREE })
    await store.add({ name: 'fast', password: 'f', ...FREE })
    const server = await startUsersProxy(store)
    const [one, two, fast] = [
      await server.connect({ password: 's' }),
      await server.connect({ password: 's' }),
      await server.connect({ password: 'f' }),
    ]
    const took = async (session: Session, one: Omit<Transfer, 'reset'>) => {
      const started = performance.now()
      await run(session, { ...one, reset: 'nobody' })
      return (performance.now() - started) / 1_000
    }
    // What was unused for a quarter of a second may be used at once.
    const half = { up: [500_000], down: [500_000] }
    const [first, second, quick] = await Promise.all([
      took(one, half),
      took(two, half),
      took(fast, { up: [1_000_000], down: [1_000_000] }),
    ])
    const seconds = Math.max(first, second) + 0.25
    expect(1_000_000 / seconds).toBeLessThan(rate * 1.1)
    expect(1_000_000 / seconds).toBeGreaterThan(rate * 0.8)
    expect(quick).toBeLessThan(seconds / 2)
  })

  describe.skipIf(process.env.ANYTLS_LONG !== 'true').each([
    ['up', true, false],
    ['down', false, true],
    ['both ways', true, true],
  ])(
    'rates hold over 10 s of three sessions, %s, and slow nobody else (only with ANYTLS_LONG=true: npm run test:two-ends)',
    (_, isUp, isDown) => {
      it('by what programs get', { timeout: 60_000 }, async () => {
        const { store } = await openStore()
        const rate = 1_000_000
        await store.add({ name: 'slow', password: 's', maxUp: rate, maxDown: rate, ...FREE })
        await store.add({ name: 'fast', password: 'f', ...FREE })
        const server = await startUsersProxy(store)
        const fast = await server.connect({ password: 'f' })
        const beside = async () => {
          const started = performance.now()
          await run(fast, { up: [200_000], down: [200_000], reset: 'nobody' })
          const took = performance.now() - started
          // All of them share one process: the others' time is not to be taken by this one.
          await sleep(50)
          return took
        }
        const medianBeside = async (until: () => boolean) => {
          const times: number[] = []
          while (!until()) times.push(await beside())
          return times.sort((one, other) => one - other)[times.length >> 1] ?? Infinity
        }
        let rounds = 0
        const alone = await medianBeside(() => (rounds += 1) > 20)
        const carried = { up: 0, down: 0 }
        const target = await startTarget((socket) => {
          socket.on('data', (data) => (carried.up += data.length))
          if (isDown) void pipeline(endless(), socket).catch(() => {})
        })
        const slow = await Promise.all(
          Array.from({ length: 3 }, () => server.connect({ password: 's' })),
        )
        for (const session of slow) {
          const stream = await open(session, target)
          stream.on('data', (data: Buffer) => (carried.down += data.length))
          if (isUp) void pipeline(endless(), stream).catch(() => {})
        }
        // What was unused for a quarter of a second may be used at once.
        await sleep(1_000)
        const [before, begun] = [{ ...carried }, performance.now()]
        const busy = await medianBeside(() => performance.now() - begun > 10_000)
        const seconds = (performance.now() - begun) / 1_000
        const part = (way: 'up' | 'down') => (carried[way] - before[way]) / seconds / rate
        console.log({ up: part('up'), down: part('down'), alone, busy })
        for (const session of slow) session.destroy()
        for (const way of [isUp ? ['up' as const] : [], isDown ? ['down' as const] : []].flat()) {
          expect(part(way)).toBeGreaterThan(0.9)
          expect(part(way)).toBeLessThan(1.1)
        }
        expect(busy).toBeLessThan(2 * alone)
      })
    },
  )
})

describe('Issue 12.3: targets', () => {
  it('who was added reaches no address of the server, by TCP, UDP or Mux.Pro, or by a name of it', async () => {
    const { store } = await openStore()
    await store.add({ name: 'alice', password: 'a' })
    const server = await startUsersProxy(store)
    const session = await server.connect({ password: 'a' })
    let reached = 0
    const { port } = await startTarget((socket) => {
      reached += 1
      socket.destroy()
    })
    for (const host of [
      '127.0.0.1',
      'localhost',
      '::ffff:127.0.0.1',
      '0.0.0.0',
      '2130706433',
      '127.1',
    ]) {
      const opening = open(session, { host, port }).then((stream) => stream.accepted())
      await expect(opening, host).rejects.toMatchObject({ closeCode: 6 })
    }
    const udp = createSocket('udp4')
      .on('message', () => (reached += 1))
      .bind(0, '127.0.0.1')
    await once(udp, 'listening')
    onTestFinished(() => void udp.close())
    const datagrams = await open(session, { host: UdpOverTcpHost.Version2, port: 0 })
    const target = { host: '127.0.0.1', port: udp.address().port }
    datagrams.write(encodeUdpRequest({ isConnect: false, target }))
    for (const host of ['127.0.0.1', 'localhost', '0.0.0.0']) {
      datagrams.write(encodeUdpPacket({ ...target, host }, Buffer.from('x')))
    }
    const main = muxProClient(await open(session, { host: 'mux.pro', port: 9527 }))
    for (const network of ['tcp', 'udp'] as const) {
      const sub = main.openStream({
        target: network === 'tcp' ? { host: '127.0.0.1', port } : target,
        network,
      })
      sub.on('error', () => {})
      sub.write('x')
      await closed(sub)
    }
    await sleep(100)
    expect(reached).toBe(0)
  })
})
