import { once } from 'node:events'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { randomBytes } from 'node:crypto'
import { describe, expect, it, onTestFinished } from 'vitest'
import { AnyTlsError } from '../../src/errors.ts'
import { CloseCode } from '../../src/engine/close-code.ts'
import { relay } from '../../src/proxy/relay.ts'
import { writeUntilHeld } from '../support/back-pressure.ts'
import { closing, connectTo, listen, readAll, readExactly, sha256, streamPair } from './support.ts'

/** Two ends of a TCP connection: the program's, and the one to relay. */
async function socketPair(): Promise<[net.Socket, net.Socket]> {
  const server = net.createServer({ allowHalfOpen: true })
  const port = await listen(server)
  const connection = once(server, 'connection') as Promise<[net.Socket]>
  const program = await connectTo(port)
  const [near] = await connection
  return [program, near]
}

/** program <-> near =relay= stream <-> far */
async function relayed(options?: Parameters<typeof relay>[2], plain = false) {
  const [program, near] = await socketPair()
  const [stream, far] = streamPair({ plain })
  far.on('error', () => {})
  return { program, near, stream, far, over: relay(near, stream, options) }
}

describe('relay', () => {
  it('carries 16 MiB in both directions at once, unchanged', async () => {
    const { program, far, over } = await relayed()
    const [up, down] = [randomBytes(16 << 20), randomBytes(16 << 20)]
    program.end(up)
    far.end(down)
    const [gotDown, gotUp] = await Promise.all([readAll(program), readAll(far)])
    expect(sha256(gotUp)).toBe(sha256(up))
    expect(sha256(gotDown)).toBe(sha256(down))
    await over
  })

  it('half-close: the end of one direction leaves the other open', async () => {
    const { program, far, over } = await relayed()
    program.end('question')
    expect((await readAll(far)).toString()).toBe('question')
    far.write('first ')
    expect((await readExactly(program, 6)).toString()).toBe('first ')
    far.end('last')
    expect((await readAll(program)).toString()).toBe('last')
    await over
  })

  it('half-close works the same from the far side', async () => {
    const { program, far, over } = await relayed()
    far.end('banner')
    expect((await readAll(program)).toString()).toBe('banner')
    program.end('answer')
    expect((await readAll(far)).toString()).toBe('answer')
    await over
  })

  it('D21: a reset of the TCP side becomes a stream reset with code 1', async () => {
    const { program, stream, far, over } = await relayed()
    program.resetAndDestroy()
    await once(far, 'error')
    expect(stream.resets).toEqual([{ code: CloseCode.RemoteDisconnect, reason: '' }])
    await over
  })

  it('a reset of the stream becomes a reset of the TCP side', async () => {
    const { program, far, over } = await relayed()
    const failed = once(program, 'error') as Promise<[NodeJS.ErrnoException]>
    far.reset(CloseCode.Timeout)
    const [error] = await failed
    expect(error.code).toBe('ECONNRESET')
    await over
  })

  it('D6: what came before an RST is delivered, and then an end, not a reset', async () => {
    const { program, far, over } = await relayed({}, true)
    const errors: Error[] = []
    program.on('error', (error) => errors.push(error))
    const data = randomBytes(1 << 20)
    far.write(data, () => far.reset(CloseCode.Graceful))
    expect(sha256(await readAll(program))).toBe(sha256(data))
    await over
    expect(errors).toEqual([])
  })

  it('D6: after an RST a side that goes on talking is closed, and still reads what came before', async () => {
    const { program, near, far, over } = await relayed({}, true)
    const data = randomBytes(1 << 20)
    program.write('one question, and never an end')
    await readExactly(far, 30)
    far.write(data, () => far.reset(CloseCode.Graceful))
    program.write('too late')
    expect(sha256(await readAll(program))).toBe(sha256(data))
    program.end('far too late')
    await over
    // Read to its end, so that the kernel had no reason for a reset.
    expect(near.readableEnded).toBe(true)
  })

  it('a slow reader holds the writer back and memory stays bounded', async () => {
    const { program, near, stream, far } = await relayed()
    program.pause()
    // Kernel buffers of loopback take a few MiB; then nothing may be taken any more.
    expect(await writeUntilHeld(far)).toBeLessThan(32 << 20)
    const buffered = near.writableLength + stream.readableLength + far.writableLength
    expect(buffered).toBeLessThan(1 << 20)
    program.destroy()
  })

  it('a direction that stays silent after half-close is ended, and the peer told: timeout', async () => {
    const { program, stream, over } = await relayed({ halfOpenTimeout: 50 })
    program.end('only question')
    await over
    expect(stream.resets).toEqual([{ code: CloseCode.Timeout, reason: '' }])
  })

  it('a direction may be silent after half-close without a limit', async () => {
    const { program, far, over } = await relayed({ halfOpenTimeout: Infinity })
    program.end('question')
    expect((await readAll(far)).toString()).toBe('question')
    far.end('answer')
    expect((await readAll(program)).toString()).toBe('answer')
    await over
  })

  it('the time limit of half-close holds when one side had ended before the relay began', async () => {
    const [program, near] = await socketPair()
    const [stream, far] = streamPair()
    far.on('error', () => {})
    program.end()
    near.resume()
    await once(near, 'end')
    await relay(near, stream, { halfOpenTimeout: 50 })
    expect(stream.resets).toEqual([{ code: CloseCode.Timeout, reason: '' }])
  })

  it('a direction with traffic outlives the time limit of half-close', async () => {
    const { program, far, over } = await relayed({ halfOpenTimeout: 150 })
    program.end()
    far.resume()
    const got = readAll(program)
    for (let beat = 0; beat < 6; beat += 1) {
      far.write('.')
      await new Promise((resolve) => setTimeout(resolve, 60))
    }
    far.end()
    expect((await got).toString()).toBe('......')
    await over
  })

  it('a side that is gone before the relay begins takes the other with it', async () => {
    const [program, near] = await socketPair()
    const [stream, far] = streamPair()
    far.on('error', () => {})
    stream.destroy()
    const closed = closing(program)
    await relay(near, stream)
    await closed
  })

  it('an error after the end of the relay is nobody else`s', async () => {
    const [a, far] = streamPair()
    const [b, other] = streamPair()
    const over = relay(a, b)
    far.end()
    other.end()
    far.resume()
    other.resume()
    await over
    expect(() => a.emit('error', new AnyTlsError('ERR_CONNECTION_LOST'))).not.toThrow()
  })

  it('a socket that is no TCP socket is destroyed instead of reset', async () => {
    const path = join(tmpdir(), `anytls-relay-${process.pid}.sock`)
    const server = net.createServer().listen(path)
    onTestFinished(() => void server.close())
    await once(server, 'listening')
    const connection = once(server, 'connection') as Promise<[net.Socket]>
    const program = net.connect(path)
    const [near] = await connection
    const [stream, far] = streamPair()
    far.on('error', () => {})
    const over = relay(near, stream)
    const closed = closing(program)
    program.resume()
    far.reset(CloseCode.RemoteDisconnect)
    await closed
    await over
  })

  it('leaves no pipe and no timer behind', async () => {
    const { program, near, stream, far, over } = await relayed()
    program.end('a')
    far.end('b')
    await Promise.all([readAll(program), readAll(far), over])
    for (const side of [near, stream] as Duplex[]) {
      expect(side.listenerCount('data')).toBe(0)
      expect(side.listenerCount('drain')).toBe(0)
      expect(side.listenerCount('unpipe')).toBe(0)
      expect(side.destroyed).toBe(true)
    }
  })
})
