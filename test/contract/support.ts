// What the cases of the contract share: a pair that ends with its test, bytes that tell their place, patience.
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import type { Duplex } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { onTestFinished } from 'vitest'
import type { Carrier, Connection, Pair } from './carriers.ts'

export const KIB = 1_024
export const MIB = 1_048_576

/** Longer than anything that was on its way takes, in milliseconds. */
export const QUIET = 150

export async function connectOn(carrier: Carrier): Promise<Connection> {
  const connection = await carrier.connect()
  onTestFinished(() => connection.close())
  return connection
}

/** A stream of a connection of its own. */
export async function openOn(carrier: Carrier): Promise<Pair & { connection: Connection }> {
  const connection = await connectOn(carrier)
  return { ...(await connection.open()), connection }
}

/** The same pair with its ends exchanged: what holds for who opened must hold for who was told. */
export function turned({ near, far }: Pair): Pair {
  return { near: far, far: near }
}

/** Bytes that do not repeat within a window, a frame or a record. */
export function pattern(bytes: number, seed = 1): Buffer {
  const words = new Uint32Array(Math.ceil(bytes / 4))
  let state = seed
  for (let i = 0; i < words.length; i += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    words[i] = state
  }
  return Buffer.from(words.buffer, 0, bytes)
}

export function sha(...chunks: readonly Uint8Array[]): string {
  const hash = createHash('sha256')
  for (const chunk of chunks) hash.update(chunk)
  return hash.digest('hex')
}

/**
 * The number and the hash of all bytes up to the end; rejects when the stream breaks before. By events: `for
 * await` would destroy the other direction at the end of this one.
 */
export function digest(stream: Duplex): Promise<{ bytes: number; sha: string }> {
  return new Promise((resolve, reject) => {
    const hash = createHash('sha256')
    let bytes = 0
    stream.on('data', (chunk: Buffer) => {
      hash.update(chunk)
      bytes += chunk.length
    })
    stream.once('error', reject)
    stream.once('close', () => reject(new Error(`closed after ${bytes} bytes, without an end`)))
    stream.once('end', () => resolve({ bytes, sha: hash.digest('hex') }))
    stream.resume()
  })
}

/**
 * The same of what an opener sends and ends: on a wire without half-close the end waits for that of the
 * answer, and only the bytes are waited for.
 */
export async function arrival(
  { caps }: Carrier,
  far: Duplex,
  bytes: number,
): Promise<{ bytes: number; sha: string }> {
  return caps.halfClose ? digest(far) : digestOf(await take(far, bytes))
}

/** What {@link digest} gives for these bytes. */
export function digestOf(data: Uint8Array): { bytes: number; sha: string } {
  return { bytes: data.length, sha: sha(data) }
}

/** The next `bytes` bytes, by `data` events; leaves the stream paused, and nothing more is lost. */
export function take(stream: Duplex, bytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let taken = 0
    const release = (): void => {
      stream.off('data', onData)
      stream.off('close', onClose)
      stream.pause()
    }
    const onData = (chunk: Buffer): void => {
      chunks.push(chunk)
      taken += chunk.length
      if (taken < bytes) return
      release()
      const all = Buffer.concat(chunks)
      if (all.length > bytes) stream.unshift(all.subarray(bytes))
      resolve(all.subarray(0, bytes))
    }
    const onClose = (): void => {
      release()
      reject(new Error(`closed after ${taken} of ${bytes} bytes`))
    }
    stream.on('data', onData)
    stream.on('close', onClose)
    stream.resume()
  })
}

/** Waits until `value` has been the same for {@link QUIET} ms, and gives it. */
export async function settled(value: () => number): Promise<number> {
  for (;;) {
    const before = value()
    await delay(QUIET)
    if (value() === before) return before
  }
}

/** Resolves once the stream is closed, whether or not it was already. */
export async function closed(stream: Duplex): Promise<void> {
  if (!stream.closed) await new Promise((resolve) => stream.once('close', resolve))
}

/** Ends both directions in order and waits until both ends are closed. */
export async function endBoth({ near, far }: Pair): Promise<void> {
  near.resume().end()
  far.resume().end()
  await Promise.all([closed(near), closed(far)])
}

/** The error that a stream emits. */
export async function errorOf(stream: Duplex): Promise<NodeJS.ErrnoException> {
  const [error] = (await once(stream, 'error')) as [NodeJS.ErrnoException]
  return error
}

/** Names of the events that a stream emits from now on, in order. */
export function record(stream: Duplex, ...events: readonly string[]): string[] {
  const seen: string[] = []
  for (const event of events) stream.on(event, () => seen.push(event))
  return seen
}
