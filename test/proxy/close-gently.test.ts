import { once } from 'node:events'
import net from 'node:net'
import { expect, it, onTestFinished, vi } from 'vitest'
import { closeGently, limitStall, STALL_TIMEOUT } from '../../src/proxy/close-gently.ts'
import { endOnceSent } from '../../src/proxy/lean-relay.ts'
import { connectTo, listen, readAll } from './support.ts'

async function pair(): Promise<[net.Socket, net.Socket]> {
  const server = net.createServer({ allowHalfOpen: true })
  const port = await listen(server)
  const connection = once(server, 'connection') as Promise<[net.Socket]>
  const far = await connectTo(port)
  return [(await connection)[0], far]
}

it('what was written last arrives, and the other end has a second to go on', async () => {
  const [near, far] = await pair()
  const begin = performance.now()
  far.write('still talking')
  closeGently(near, 'goodbye')
  expect(String(await readAll(far))).toBe('goodbye')
  await once(near, 'close')
  expect(performance.now() - begin).toBeGreaterThan(900)
})

it('an other end that reads nothing is not waited for without a limit', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
  const [near, far] = await pair()
  far.pause()
  closeGently(near, Buffer.alloc(64 << 20))
  const closed = once(near, 'close')
  await vi.advanceTimersByTimeAsync(STALL_TIMEOUT - 1)
  expect(near.destroyed).toBe(false)
  await vi.advanceTimersByTimeAsync(1)
  await closed
})

it.for([
  ['closes gently', (near: net.Socket) => closeGently(near)],
  ['resets once all is sent', (near: net.Socket) => endOnceSent(near)],
] as const)('an other end that reads slowly is waited for, by who %s', async ([, end]) => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
  const [near, far] = await pair()
  far.pause()
  near.write(Buffer.alloc(64 << 20))
  end(near)
  const closed = once(near, 'close')
  for (let reads = 0; reads < 4; reads++) {
    await vi.advanceTimersByTimeAsync(STALL_TIMEOUT - 1)
    for (let left = 8 << 20; left > 0;) {
      const [chunk] = (await once(far.resume(), 'data')) as [Buffer]
      left -= chunk.length
    }
    far.pause()
    await vi.advanceTimersByTimeAsync(1)
    expect(near.destroyed).toBe(false)
  }
  await vi.advanceTimersByTimeAsync(2 * STALL_TIMEOUT)
  await closed
})

it('bytes that have left count, whatever is left of how many writes', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
  const socket = new net.Socket()
  const hold = (writableLength: number, handle: object) => {
    Object.defineProperty(socket, 'writableLength', { value: writableLength, configurable: true })
    Object.assign(socket, { _handle: handle })
  }
  let isStalled = false
  // A write of 100 bytes, half of which have left, with 300 behind it; then those 300, half of which have.
  hold(400, { bytesWritten: 100, writeQueueSize: 50 })
  limitStall(socket, () => (isStalled = true))
  hold(300, { bytesWritten: 400, writeQueueSize: 150 })
  await vi.advanceTimersByTimeAsync(STALL_TIMEOUT)
  expect(isStalled).toBe(false)
  await vi.advanceTimersByTimeAsync(STALL_TIMEOUT)
  expect(isStalled).toBe(true)
})
