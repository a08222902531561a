// What the streams of a session have carried, in all: for the log, and for the account of its user.
import { ChurningSet } from '../../codec/churning.ts'
import type { ProxyStreamEvent } from '../../proxy/outbound/serve-target.ts'
import type { Traffic } from '../../proxy/traffic.ts'
import type { Usage } from './ledger.ts'

export class SessionMeter implements Usage {
  /** Made with the first of them: most sessions are idle. */
  #running: ChurningSet<Traffic> | undefined
  #up = 0
  #down = 0

  get up(): number {
    return this.#list().reduce((sum, { up }) => sum + up, this.#up)
  }

  get down(): number {
    return this.#list().reduce((sum, { down }) => sum + down, this.#down)
  }

  /** Whether nothing is under way. */
  get idle(): boolean {
    return (this.#running?.size ?? 0) === 0
  }

  /** To be told of what happens on each stream of the session. */
  observe(event: ProxyStreamEvent): void {
    if (!('traffic' in event)) return
    const { type, traffic } = event
    if (type === 'open' || type === 'udp-open') (this.#running ??= new ChurningSet()).add(traffic)
    // What has just been sent is counted a moment later.
    else setImmediate(() => this.#end(traffic))
  }

  #end(traffic: Traffic): void {
    if (this.#running?.delete(traffic) !== true) return
    this.#up += traffic.up
    this.#down += traffic.down
  }

  #list(): readonly Traffic[] {
    return this.#running?.list() ?? []
  }
}
