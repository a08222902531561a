// The public end of a reverse tunnel for several users. Each has a password of their own and a public port of their own, where
// visitors reach the service of that user's end and of nobody else. The end behind NAT is reverse-client.ts.

import { createHash, timingSafeEqual } from 'node:crypto'
import { readFileSync } from 'node:fs'
import net from 'node:net'
import { createServer } from '../src/index.ts'
import type { SessionUser } from '../src/index.ts'
import { relay } from '../src/proxy.ts'
import { makeOpener } from './carrier.ts'
import type { Opener } from './carrier.ts'
import { listen, readArguments, run } from './support.ts'

/** One of `--users`, a JSON file: `[{ "name": "alice", "password": "…", "public": "127.0.0.1:8001" }]`. */
interface User extends SessionUser {
  readonly password: string
  readonly public: string
}

await run(async () => {
  const settings = readArguments({ listen: '127.0.0.1:7777', users: '', key: '', cert: '' })
  const users = (JSON.parse(readFileSync(settings.users, 'utf8')) as User[]).map((user) => ({
    ...user,
    hash: createHash('sha256').update(user.password).digest(),
    /** Of the ends of this user, the newest serves. */
    openers: new Set<Opener>(),
  }))

  const server = createServer(
    {
      key: readFileSync(settings.key),
      cert: readFileSync(settings.cert),
      // A web server to everybody whose password is none of these. All are compared: how long it takes tells nothing.
      users: { lookup: (hash) => users.filter((user) => timingSafeEqual(user.hash, hash))[0] },
    },
    (carrier, session) => {
      const user = users.find(({ name }) => name === session.user?.name)
      if (user === undefined) return
      const opener = makeOpener('v1', carrier)
      user.openers.add(opener)
      console.error(`tunnel: an end of ${user.name} has connected`)
      opener.session.once('close', () => {
        user.openers.delete(opener)
        console.error(`tunnel: an end of ${user.name} has gone`)
      })
    },
  )
  await listen(server, settings.listen, 'tunnel')

  for (const user of users) {
    const visitors = net.createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
      // An error is followed by close, which is what the relay acts upon.
      socket.on('error', () => {})
      const opener = [...user.openers].findLast(({ session }) => session.mayOpen)
      if (opener === undefined) {
        socket.destroy()
        return
      }
      const stream = opener.openStream()
      stream.on('error', () => {})
      void relay(socket, stream)
    })
    await listen(visitors, user.public, user.name)
  }
})
