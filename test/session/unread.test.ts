// What a stream keeps for a reader that comes later: its bytes, and not the records that they came in.
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
