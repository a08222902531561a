// Workloads: what is read of their JSON, what is refused and in which words, and the built-in ones.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parseWorkload, WORKLOAD_LIMITS } from '../../../src/harness/simulate/workload.ts'
import { WORKLOADS } from '../../../src/harness/simulate/workloads.ts'

const FIXTURES = join(import.meta.dirname, '../../../fixtures/workloads')
const OPEN = { time: 0, direction: 'up', bytes: 13, open: true }

describe('parseWorkload', () => {
  it('reads every field, and what it is where it is left out', () => {
    const events = [
      OPEN,
      { time: 1.5, direction: 'down', bytes: 800 },
      { time: 1.5, direction: 'up', bytes: 0, open: true, end: true, stream: 2 },
      { time: 2, direction: 'down', bytes: 1 },
      { time: 9, direction: 'up', bytes: 0, end: true, stream: 1 },
    ]
    expect(parseWorkload(JSON.stringify({ name: 'n', about: 'a', events }))).toEqual({
      name: 'n',
      about: 'a',
      events: [
        { time: 0, direction: 'up', bytes: 13, stream: 1, open: true, end: false },
        { time: 1.5, direction: 'down', bytes: 800, stream: 1, open: false, end: false },
        { time: 1.5, direction: 'up', bytes: 0, stream: 2, open: true, end: true },
        { time: 2, direction: 'down', bytes: 1, stream: 2, open: false, end: false },
        { time: 9, direction: 'up', bytes: 0, stream: 1, open: false, end: true },
      ],
    })
    expect(parseWorkload(JSON.stringify({ name: 'n', events: [OPEN] })).about).toBe('')
  })

  const whole: [string, string, RegExp][] = [
    ['no JSON', '{', /it is not JSON/],
    ['NaN', '{ "name": "n", "events": [{ "time": NaN }] }', /it is not JSON \(which knows no NaN/],
    ['a list', '[]', /the workload must be an object/],
    ['null', 'null', /the workload must be an object/],
    ['no name', '{ "events": [] }', /"name" must be a text of 1 to 100 characters/],
    ['a name that is too long', named('n'.repeat(101)), /"name" must be a text/],
    ['no events', '{ "name": "n" }', /"events" must be a list/],
    ['an empty list', '{ "name": "n", "events": [] }', /there are no events/],
    ['an unknown field', '{ "name": "n", "event": [] }', /there is no field "event" in it/],
    [
      'too many events',
      JSON.stringify({ name: 'n', events: Array(WORKLOAD_LIMITS.maxEvents + 1).fill(OPEN) }),
      /"events" has 20001 items; there may be 20000/,
    ],
  ]
  it.each(whole)('refuses %s', (_, text, message) => {
    expect(() => parseWorkload(text)).toThrow(message)
    expect(() => parseWorkload(text)).toThrow(
      expect.objectContaining({ code: 'ERR_WORKLOAD_INVALID' }),
    )
  })

  const second: [string, unknown, RegExp][] = [
    ['a negative size', { bytes: -1 }, /event 2: "bytes" must be a whole number from 0 to/],
    ['half a byte', { bytes: 0.5 }, /event 2: "bytes" must be a whole/],
    ['a size beyond all numbers', { bytes: '1e999' }, /event 2: "bytes" must be a whole/],
    ['a size that is a text', { bytes: '7' }, /event 2: "bytes" must be a whole/],
    ['an absurd size', { bytes: 2 ** 40 }, /event 2: "bytes" must be .* to 1073741824/],
    ['an absurd total', { bytes: 2 ** 30 }, /event 2: with it, there are more than 1073741824/],
    ['a negative time', { time: -1 }, /event 2: "time" must be a number from 0 to 86400000/],
    ['a time of null', { time: null }, /event 2: "time" must be a number/],
    ['a time beyond a day', { time: 86_400_001 }, /event 2: "time" must be a number/],
    ['another direction', { direction: 'left' }, /event 2: "direction" must be "up" or "down"/],
    ['open that is no flag', { open: 1 }, /event 2: "open" must be true or false/],
    ['end that is no flag', { end: 'yes' }, /event 2: "end" must be true or false/],
    ['a server that opens', { open: true, direction: 'down' }, /event 2: only "up" opens/],
    ['a stream that is not open', { stream: 2 }, /event 2: "stream" must be .* from 1 to 1/],
    ['stream 0', { stream: 0 }, /event 2: "stream" must be a whole number/],
    ['an open of another stream', { open: true, stream: 1 }, /event 2: .* is number 2/],
    ['nothing at all', { bytes: 0 }, /event 2: nothing happens in it/],
    ['a field too much', { size: 4 }, /event 2: there is no field "size" in it/],
  ]
  it.each(second)('refuses an event with %s', (_, change, message) => {
    const event = { time: 1, direction: 'up', bytes: 5, ...(change as object) }
    const text = JSON.stringify({ name: 'n', events: [OPEN, event] }).replace('"1e999"', '1e999')
    expect(() => parseWorkload(text)).toThrow(message)
  })

  it('refuses an event that is no object, one without a stream, and one before its time', () => {
    const parse =
      (...events: unknown[]) =>
      () =>
        parseWorkload(JSON.stringify({ name: 'n', events }))
    expect(parse(OPEN, 5)).toThrow(/event 2 must be an object/)
    expect(parse({ ...OPEN, open: false })).toThrow(/event 1: no stream has been opened yet/)
    expect(parse({ ...OPEN, time: 5 }, OPEN)).toThrow(/event 2: its time is before/)
  })

  it('refuses data behind the end of a direction, and takes that of the other one', () => {
    const text = (direction: string) =>
      JSON.stringify({
        name: 'n',
        events: [
          { ...OPEN, end: true },
          { time: 1, direction, bytes: 1 },
        ],
      })
    expect(() => parseWorkload(text('up'))).toThrow(/event 2: that direction .* has ended/)
    expect(parseWorkload(text('down')).events).toHaveLength(2)
  })

  it('its messages are one plain line, whatever the file holds', () => {
    const nasty = `{ "name": "n", "\\u001b[2J${'x'.repeat(500)}": 1 }`
    expect(() => parseWorkload(nasty)).toThrow(/^.{1,150}$/s)
  })
})

describe('the built-in workloads', () => {
  it('are those of fixtures/workloads, to the byte', () => {
    const names = readdirSync(FIXTURES).map((file) => file.replace(/\.json$/, ''))
    expect(names.sort()).toEqual(Object.keys(WORKLOADS).sort())
    for (const [name, workload] of Object.entries(WORKLOADS)) {
      const text = readFileSync(join(FIXTURES, `${name}.json`), 'utf8')
      expect(workload).toEqual(parseWorkload(text))
      expect(workload.name).toBe(name)
      expect(workload.about).toMatch(/loopback|pseudo-terminal/)
    }
  })
})

function named(name: string): string {
  return JSON.stringify({ name, events: [OPEN] })
}
