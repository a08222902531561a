// The end of a reverse tunnel behind NAT: stays connected to --connect and joins each stream that comes
// from there to a connection of its own to the service at --to.

import { once } from 'node:events'
import { setTimeout } from 'node:timers/promises'
import { CloseCode } from '../src/index.ts'
import type { Stream } from '../src/index.ts'
import { dial, relay } from '../src/proxy.ts'
import { parseHostPort } from '../src/codec.ts'
import { connectCarrier, makeServingEnd } from './carrier.ts'
import { messageOf, readArguments, run } from './support.ts'

/** How long to wait before connecting again, in ms. */
const PAUSE = 1_000

await run(async () => {
  const settings = readArguments({ connect: '127.0.0.1:7777', to: '127.0.0.1:8000', ca: '' })
  const service = parseHostPort(settings.to)

  for (;;) {
    try {
      const session = makeServingEnd(settings.wire, await connectCarrier(settings))
      session.on('stream', (stream) => void forward(stream))
      console.error(`connected to ${settings.connect}`)
      const [error] = (await once(session, 'close')) as [Error | undefined]
      console.error(`the connection has ended${error === undefined ? '' : `: ${error.message}`}`)
    } catch (error) {
      console.error(messageOf(error))
    }
    await setTimeout(PAUSE)
  }

  async function forward(stream: Stream): Promise<void> {
    try {
      const socket = await dial(service)
      stream.accept()
      await relay(stream, socket)
    } catch (error) {
      console.error(messageOf(error))
      stream.reset(CloseCode.DestinationUnreachable, 'the service does not answer')
    }
  }
})
