// A client and a server of Mux.Pro, and both ends of a stream between them.
import { once } from 'node:events'
import { onTestFinished } from 'vitest'
import { muxProClient, muxProServer } from '../../../src/session/muxpro.ts'
import type { MuxProClient } from '../../../src/session/muxpro.ts'
import type { Stream } from '../../../src/session/stream.ts'
import { createDuplexPair } from '../../support/duplex-pair.ts'
import { FakeClock } from '../../support/fake-clock.ts'

export async function makeMuxProPair(request: Parameters<MuxProClient['openStream']>[0]) {
  const clock = new FakeClock()
  const [near, far] = createDuplexPair()
  const server = muxProServer(far, { clock })
  const client = muxProClient(near, { clock })
  onTestFinished(() => {
    client.destroy()
    server.destroy()
  })
  const arrived = once(server, 'stream') as Promise<[Stream]>
  const ours = client.openStream(request)
  const [theirs] = await arrived
  for (const stream of [ours, theirs]) stream.on('error', () => {})
  return { client, server, ours, theirs }
}
