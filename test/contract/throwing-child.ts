// A process in which listeners throw, one place after the other: `throwing-child.ts CARRIER PLACE…`. It tells
// on standard output what became of the other streams of the connection.
import type { Duplex } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { carrierNamed } from './carriers.ts'
import type { Carrier } from './carriers.ts'

/** Where it is thrown: a listener of the stream, of its session, or a callback of a write. */
export type Place = 'data' | 'end' | 'close' | 'stream' | 'callback'

export interface Outcome {
  /** How often `uncaughtException` came for the one throw. */
  readonly thrown: number
  /** What the sibling received. */
  readonly arrived: string
  readonly ended: boolean
  /** What a stream that was opened afterwards received. */
  readonly later: string
}

const PATIENCE = 3_000

let thrown = 0
process.on('uncaughtException', (error) => {
  if (error.message === 'the listener') thrown += 1
  else process.stderr.write(`${error.stack}\n`)
})

function fail(): never {
  throw new Error('the listener')
}

function collect(stream: Duplex): { text: string; ended: boolean } {
  const seen = { text: '', ended: false }
  stream.on('data', (chunk: Buffer) => (seen.text += String(chunk)))
  stream.on('end', () => (seen.ended = true))
  return seen
}

async function tryAt(carrier: Carrier, place: Place): Promise<Outcome> {
  thrown = 0
  const connection = await carrier.connect()
  const first = await connection.open()
  const second = await connection.open()
  collect(first.near)
  const sibling = collect(second.near)
  if (place === 'data' || place === 'end' || place === 'close') first.near.once(place, fail)
  // All of it in one turn, and so in one record: what throws stands before what must not be lost.
  first.far.write('1')
  if (place === 'stream') {
    let count = 0
    connection.onStream(() => {
      count += 1
      if (count === 1) fail()
    })
    connection.openNear().on('error', () => {})
    // Not the first one's far end: nobody has that.
    const other = connection.open()
    await until(() => count === 2)
    await other
  }
  if (place === 'callback') first.near.write('x', fail)
  if (place === 'end' || place === 'close') {
    first.near.end()
    first.far.resume().end()
  }
  second.far.write('AAAA')
  await until(() => sibling.text.length >= 4)
  second.far.end('BBBB')
  await until(() => sibling.ended && thrown > 0)
  const later = await connection.open().then(({ near, far }) => {
    const seenLater = collect(near)
    far.write('CCCC')
    return until(() => seenLater.text === 'CCCC').then(() => seenLater.text)
  })
  const outcome = { thrown, arrived: sibling.text, ended: sibling.ended, later }
  await connection.close()
  return outcome
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + PATIENCE
  while (!condition() && performance.now() < deadline) await delay(5)
}

const [name, ...places] = process.argv.slice(2) as [string, ...Place[]]
const outcomes: Partial<Record<Place, Outcome>> = {}
for (const place of places) {
  outcomes[place] = await Promise.race([
    tryAt(carrierNamed(name), place),
    delay(3 * PATIENCE, { thrown, arrived: '', ended: false, later: 'never' }),
  ])
}
process.stdout.write(JSON.stringify(outcomes), () => process.exit(0))
