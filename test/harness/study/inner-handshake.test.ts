// The study's look for TLS handshakes within a connection, on handshakes that were put there.
import { describe, expect, it } from 'vitest'
import { flightsOf, shareWithHandshake } from '../../../bench/study/inner-handshake.ts'
import type { CapturedConnection } from '../../../src/harness/capture/capture-parser.ts'

type Direction = 'up' | 'down'
type Sent = readonly [Direction, number, type?: number]

const DATA = 23

/** A connection of which an onlooker sees these records. */
function connection(...sent: readonly Sent[]): CapturedConnection {
  const records = sent.map(([direction, bytes, type = DATA], time) => {
    return { direction, bytes, type, time }
  })
  return { connection: 1, opened: 0, records, notTls: [], lost: [] }
}

/** What runs show of it. */
function run(...sent: readonly Sent[]) {
  const of = (wanted: Direction) => {
    const own = sent.map(([, size], time) => ({ size, time }))
    const kept = own.filter((_, place) => sent[place]?.[0] === wanted)
    return { sizes: kept.map(({ size }) => size), times: kept.map(({ time }) => time) }
  }
  return { up: of('up'), down: of('down') }
}

const direct = [
  // ClientHello; ServerHello to Finished; ChangeCipherSpec and Finished, a request with them or not.
  connection(
    ['up', 517, 22],
    ['down', 122, 22],
    ['down', 1_400],
    ['up', 6, 20],
    ['up', 58],
    ['down', 300],
  ),
  connection(
    ['up', 530, 22],
    ['down', 1_530],
    ['up', 6, 20],
    ['up', 58],
    ['up', 90],
    ['down', 300],
  ),
]
const flights = flightsOf(direct)

/** Whether one shows behind what opens the tunnel. */
function shows(...sent: readonly Sent[]): boolean {
  if (flights === undefined) throw new Error('the direct connections show no handshake')
  return shareWithHandshake([run(['up', 300], ['down', 90], ...sent)], flights) === 1
}

describe('the handshake within', () => {
  it('takes the sizes of its flights from handshakes in the clear', () => {
    expect(flights).toEqual([
      [517, 530],
      [1_522, 1_530],
      [64, 154],
    ])
    expect(flightsOf([])).toBeUndefined()
    expect(flightsOf([connection(['up', 517, 22], ['down', 100, 22])])).toBeUndefined()
  })

  it('shows where the flights pass as they are, with the heads of frames', () => {
    expect(shows(['up', 517 + 9], ['down', 1_525 + 9], ['up', 64 + 9], ['down', 400])).toBe(true)
  })

  it('shows where they are cut into records, or stand beside others', () => {
    const cut = [
      ['up', 270],
      ['up', 260],
      ['down', 90],
      ['down', 800],
      ['down', 730],
    ] as const
    expect(shows(...cut, ['up', 70], ['down', 9])).toBe(true)
  })

  it('does not show where a flight is another size, is missing, or goes the other way', () => {
    expect(shows(['up', 700], ['down', 1_525], ['up', 64])).toBe(false)
    expect(shows(['up', 520], ['down', 2_000], ['up', 64])).toBe(false)
    expect(shows(['up', 520], ['down', 1_525], ['up', 400])).toBe(false)
    expect(shows(['up', 520], ['down', 1_525])).toBe(false)
    expect(shows(['down', 520], ['up', 1_525], ['down', 64])).toBe(false)
  })

  it('is looked for among the first 32 records', () => {
    const talk = (count: number): Sent[] => Array.from({ length: count }, () => ['up', 2_000])
    const handshake: Sent[] = [
      ['down', 9],
      ['up', 520],
      ['down', 1_525],
      ['up', 70],
    ]
    expect(shows(...talk(26), ...handshake)).toBe(true)
    expect(shows(...talk(27), ...handshake)).toBe(false)
  })

  it('counts the share of connections', () => {
    if (flights === undefined) throw new Error('the direct connections show no handshake')
    const one = run(['up', 520], ['down', 1_525], ['up', 64])
    expect(shareWithHandshake([one, run(['up', 1]), run(), one], flights)).toBe(0.5)
    expect(shareWithHandshake([], flights)).toBe(0)
  })
})
