// What a reader keeps that takes its bytes later, or takes few at a time and keeps them: not the records that they came in.
import { once } from 'node:events'
import { expect, it } from 'vitest'
import { settle } from '../support/fake-clock.ts'
import { makeSessionPair } from '../support/session-pair.ts'

it('a small piece that is not read does not keep the record that it came in', async () => {
  const { open } = makeSessionPair({ pair: { highWaterMark: 1_048_576 } })
  const [[slow, unread], [fast, sink]] = [await open(), await open()]
  sink.resume()
  // The first piece of a stream finds nobody who listens; then both share what is written at once.
  for (let count = 0; count < 5; count += 1) {
    slow.write('x')
    fast.write(Buffer.alloc(30_000))
    await settle()
  }
  expect(unread.readableLength).toBe(5)
  const chunks: Buffer[] = []
  unread.on('data', (chunk: Buffer) => chunks.push(chunk))
  while (unread.readableLength > 0) await once(unread, 'data')
  for (const { buffer } of chunks) expect(buffer.byteLength).toBeLessThanOrEqual(16_384)
  expect(Buffer.concat(chunks).toString()).toBe('xxxxx')
})

it('a small piece that a reader keeps keeps no more than 16 KiB, whatever blocks the Buffers of Node share', async () => {
  const { open } = makeSessionPair({ pair: { highWaterMark: 1_048_576 } })
  const [sender, reader] = await open()
  const chunks: Buffer[] = []
  reader.on('data', (chunk: Buffer) => chunks.push(chunk))
  for (let count = 0; count < 5; count += 1) {
    sender.write(String(count))
    await settle()
  }
  for (const { buffer } of chunks) expect(buffer.byteLength).toBeLessThanOrEqual(16_384)
  expect(Buffer.concat(chunks).toString()).toBe('01234')
})
