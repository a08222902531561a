// The client that floods, in a process of its own: has the password, speaks in frames made by hand, reads and
// drops what comes back. Started with the flood to send; tells how it went and waits to be ended.
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { connect } from 'node:tls'
import { FLOODS } from './flood-kinds.ts'
import type { Targets } from './flood-kinds.ts'
import { FORGED } from './flood-wires.ts'
import type { WireKey } from './flood-wires.ts'

export interface FloodOrder {
  readonly wire: WireKey
  readonly flood: string
  readonly port: number
  readonly targets: Targets
  /** Longest time of sending, in ms. */
  readonly limit: number
}

export interface FloodReport {
  /** Bytes of frames that left. */
  readonly sent: number
  /** The server ended the connection. */
  readonly ended: boolean
}

/** How long the hello and what comes before the flood take to have their effect, in ms. */
const SETTLE = 400

/** How much longer a server may take to end the connection, in ms. */
const PATIENCE = 2_000

const [order] = (await once(process, 'message')) as [FloodOrder]
const wire = FORGED[order.wire]
const plan = FLOODS.find(({ name }) => name === order.flood)?.plan(wire, order.targets)
if (plan === undefined) throw new Error(`${wire.name} has no ${order.flood}`)

const socket = connect({ host: '127.0.0.1', port: order.port, rejectUnauthorized: false })
const state = { ended: false }
socket.on('error', () => {})
socket.on('end', () => (state.ended = true))
socket.on('close', () => (state.ended = true))
socket.resume()
await once(socket, 'secureConnect')
socket.write(wire.hello)
await delay(SETTLE)
if (plan.before.length > 0) socket.write(plan.before)
await delay(SETTLE)
process.send?.('begin')

const deadline = performance.now() + order.limit
let sent = 0
for (const block of plan.blocks) {
  const written = new Promise<boolean>((resolve) => {
    socket.write(block, (error) => resolve(!error))
    socket.once('close', () => resolve(false))
  })
  const left = deadline - performance.now()
  const inTime = await Promise.race([written, delay(Math.max(0, left), false, { ref: false })])
  socket.removeAllListeners('close').on('close', () => (state.ended = true))
  if (!inTime || state.ended) break
  sent += block.length
}
// What the kernels hold has still to be worked off, and a busy server needs a while to come to what ends it.
await delay(SETTLE)
for (const end = performance.now() + PATIENCE; !state.ended && performance.now() < end;)
  await delay(20)
const report: FloodReport = { sent, ended: state.ended }
process.send?.(report)
process.on('message', () => process.exit(0))
process.on('disconnect', () => process.exit(0))
