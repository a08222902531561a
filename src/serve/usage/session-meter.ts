// What the streams of a session have carried, in all: for the log, and for the account of its user.
import { ChurningSet } from '../../codec/churning.ts'
import type { ProxyStreamEvent } from '../../proxy/outbound/serve-target.ts'
import type { Traffic } from '../../proxy/traffic.ts'
import type { Usage } from './ledger.ts'

export class SessionMeter implements Usage {
  readonly #running = new ChurningSet<Traffic>()
  #up = 0
  #down = 0

  get up(): number {
    return this.#running.list().reduce((sum, { up }) => sum + up, this.#up)
  }

  get down(): number {
    return this.#running.list().reduce((sum, { down }) => sum + down, this.#down)
  }

  /** Whether nothing is under way. */
  get idle(): boolean {
    return this.#running.size === 0
  }

  /** To be told of what happens on each stream of the session. */
  observe(event: ProxyStreamEvent): void {
    if (!('traffic' in event)) return
    const { type, traffic } = event
    if (type === 'open' || type === 'udp-open') this.#running.add(traffic)
    // What has just been sent is counted a moment later.
    else setImmediate(() => this.#end(traffic))
  }

  #end(traffic: Traffic): void {
    if (!this.#running.delete(traffic)) return
    this.#up += traffic.up
    this.#down += traffic.down
  }
}
