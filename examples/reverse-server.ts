// The public end of a reverse tunnel: ends behind NAT connect to --listen, visitors to --public, and each
// visitor gets a stream to the service at the other end.

import net from 'node:net'
import { relay } from '../src/proxy.ts'
import { listenForCarriers, makeOpener } from './carrier.ts'
import type { Opener } from './carrier.ts'
import { listen, readArguments, run } from './support.ts'

await run(async () => {
  const settings = readArguments({
    listen: '127.0.0.1:7777',
    public: '127.0.0.1:8001',
    key: '',
    cert: '',
  })

  /** Of the ends that are connected, the newest serves: one that comes back does not wait for its old self. */
  const openers = new Set<Opener>()

  await listenForCarriers(settings, (carrier) => {
    const opener = makeOpener(settings.wire, carrier)
    openers.add(opener)
    console.error('tunnel: an end has connected')
    opener.session.once('close', () => {
      openers.delete(opener)
      console.error('tunnel: an end has gone')
    })
  })

  const visitors = net.createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
    // An error is followed by close, which is what the relay acts upon.
    socket.on('error', () => {})
    const opener = [...openers].findLast(({ session }) => session.mayOpen)
    if (opener === undefined) {
      socket.destroy()
      return
    }
    const stream = opener.openStream()
    stream.on('error', () => {})
    void relay(socket, stream)
  })
  await listen(visitors, settings.public, 'public')
})
