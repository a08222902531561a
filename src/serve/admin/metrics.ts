// What Prometheus is told.
// Must never grow with the users: those with traffic alone have series, and not more than 10,000 of them.
import { Counter, Gauge, Registry } from 'prom-client'
import { VERSION } from '../../version.ts'
import type { UserStore } from '../users/store.ts'
import type { ServerWatch } from './observer.ts'

const MAX_USERS = 10_000

export function createMetrics(observer: ServerWatch, store: UserStore | undefined): Registry {
  const registry = new Registry()
  const registers = [registry]
  new Gauge({
    name: 'anytls_build_info',
    help: 'The version that runs.',
    labelNames: ['version', 'node'],
    registers,
  }).set({ version: VERSION, node: process.versions.node }, 1)
  new Gauge({
    name: 'anytls_sessions',
    help: 'Sessions of clients that have logged in.',
    registers,
    async collect() {
      this.set((await observer.state()).sessions)
    },
  })
  new Gauge({
    name: 'anytls_streams',
    help: 'Streams that are open.',
    registers,
    async collect() {
      this.set((await observer.state()).streams)
    },
  })
  new Counter({
    name: 'anytls_fallback_total',
    help: 'Connections that went to the web site, by cause.',
    labelNames: ['cause'],
    registers,
    async collect() {
      const { fallbacks } = await observer.state()
      this.reset()
      for (const [cause, count] of Object.entries(fallbacks)) this.inc({ cause }, count)
    },
  })
  new Counter({
    name: 'anytls_user_bytes_total',
    help: 'Payload of users: up is what their programs sent, down what they got.',
    labelNames: ['user', 'direction'],
    registers,
    async collect() {
      await observer.state()
      this.reset()
      for (const [user, { up, down }] of usersWithTraffic(store)) {
        this.inc({ user, direction: 'up' }, up)
        this.inc({ user, direction: 'down' }, down)
      }
    },
  })
  return registry
}

function* usersWithTraffic(store: UserStore | undefined) {
  let count = 0
  for (const { name, id } of store?.users.titles() ?? []) {
    const used = store?.usage.of(id)
    if (used === undefined || used.up + used.down === 0) continue
    yield [name, used] as const
    count += 1
    if (count === MAX_USERS) return
  }
}
