// `expectShape`: what a shaper makes passes, whatever the scheme; what it cannot make is named.
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodeCaptureLine } from '../../src/harness/capture/capture-event.ts'
import {
  DEFAULT_SCHEME,
  expectShape,
  parseCapture,
  parseScheme,
  ShapeError,
  simulate,
  WIRES,
  WORKLOADS,
} from '../../src/shaping.ts'

/** A capture of one connection without a handshake, by what its records carry. */
function captureOf(...sizes: number[]): string {
  return [
    { format: 'anytls-capture', version: 1, to: 'localhost:443', started: '2026' } as const,
    { event: 'open', connection: 1, time: 0 } as const,
    ...sizes.map((size, time) => ({
      ...({ event: 'record', connection: 1, direction: 'up', time, type: 23 } as const),
      bytes: size + 22,
    })),
  ]
    .map((line) => encodeCaptureLine(line))
    .join('')
}

const skip = { up: 0, down: 0 }
const shape = (...sizes: number[]) => expectShape(captureOf(...sizes), { skip })
const SCHEME = 'stop=3\n0=30-30\n1=200-400\n2=500-1000,c,500-1000'

describe('expectShape', () => {
  it('passes what the scheme asks for', () => {
    shape(90, 200, 500).toFollow(SCHEME)
    shape(90, 399, 999, 999, 17).toFollow(parseScheme(SCHEME))
    expectShape(parseCapture(captureOf(90, 300)), { skip }).toFollow(SCHEME)
  })

  it('names connection, record, size and range', () => {
    expect(() => shape(90, 400).toFollow(SCHEME)).toThrow(
      'connection 1, record 1 up carries 400 bytes, where index 1 asks for 198 to 399',
    )
    expect(() => shape(63).toFollow(SCHEME)).toThrow(
      'connection 1, record 0 up carries 63 bytes, where index 0 asks for 64 to 16384',
    )
  })

  it('fails as an assertion does, with all that a program may ask', () => {
    let thrown: unknown
    try {
      shape(90, 100).toFollow(SCHEME)
    } catch (error) {
      thrown = error
    }
    expect(thrown).toBeInstanceOf(ShapeError)
    expect(thrown).toMatchObject({
      ...{ name: 'AssertionError', code: 'ERR_SHAPE_MISMATCH', connection: 1, record: 1 },
      ...{ actual: 100, expected: [{ index: 1, least: 198, most: 399 }] },
    })
  })

  it('takes data beyond the sizes as one Write more, and a c as the end or not', () => {
    // Behind the only size of index 1: unshaped, then index 2.
    shape(90, 300, 5, 600, 600).toFollow(SCHEME)
    shape(90, 300, 16_384, 5, 600).toFollow(SCHEME)
    expect(() => shape(90, 300, 5, 5).toFollow(SCHEME)).toThrow(
      'record 3 up carries 5 bytes, where index 2 asks for 498 to 999',
    )
    expect(() => shape(90, 600, 5).toFollow('stop=3\n1=600-600,c,700-700\n2=800-800')).toThrow(
      'record 2 up carries 5 bytes, where index 1 asks for 698 to 700 or index 2 asks for 798 to 800',
    )
  })

  it('an index without an entry is sent as it is, once', () => {
    const scheme = 'stop=4\n2=500-500\n3=600-600'
    shape(90, 7, 500, 600).toFollow(scheme)
    expect(() => shape(90, 7, 8).toFollow(scheme)).toThrow('index 2 asks for 498 to 500')
  })

  it('a size above one record is a full one and the rest', () => {
    const scheme = 'stop=2\n1=20000-20001'
    shape(90, 16_384, 3_616).toFollow(scheme)
    expect(() => shape(90, 16_383).toFollow(scheme)).toThrow('index 1 asks for 16384')
    expect(() => shape(90, 16_384, 3_613).toFollow(scheme)).toThrow('index 1 asks for 3614 to 3616')
  })

  it('with restart, a new stream may begin behind any Deliver, and what is past stop goes on', () => {
    const scheme = 'stop=3\nrestart=2\n1=300-300\n2=600-600,c,700-700'
    shape(90, 300, 600, 5, 5, 600).toFollow(scheme)
    expect(() => shape(90, 5).toFollow(scheme)).toThrow('index 1 asks for 298 to 300')
  })

  it('looks at the direction that it is told, and needs records there', () => {
    expect(() => expectShape(captureOf(90), { skip, direction: 'down' }).toFollow(SCHEME)).toThrow(
      'there is no record down that could follow a scheme',
    )
  })

  it('passes whatever the shaper makes, on either wire and in either direction', () => {
    const range = fc
      .tuple(fc.integer({ min: 1, max: 40_000 }), fc.integer({ min: 0, max: 900 }))
      .map(([min, width]) => `${min}-${min + width}`)
    const small = fc.integer({ min: 1, max: 900 }).map((min) => `${min}-${min + 200}`)
    const item = fc.oneof({ weight: 5, arbitrary: small }, range, fc.constant('c'))
    const scheme = fc
      .record({
        stop: fc.integer({ min: 2, max: 9 }),
        restart: fc.option(fc.integer({ min: 1, max: 8 })),
        lines: fc.array(fc.option(fc.array(item, { minLength: 1, maxLength: 5 })), {
          minLength: 9,
          maxLength: 9,
        }),
      })
      .map(({ stop, restart, lines }) => {
        const entries = lines.flatMap((items, index) =>
          items === null || index >= stop ? [] : [`${index}=${items.join(',')}`],
        )
        const counted = restart !== null && restart < stop ? [`restart=${restart}`] : []
        return parseScheme([`stop=${stop}`, ...counted, ...entries].join('\n'))
      })
    const names = fc.constantFrom('handshake', 'page', 'shell')
    fc.assert(
      fc.property(scheme, names, fc.boolean(), fc.nat(), (made, name, isLegacy, seed) => {
        const wire = isLegacy ? WIRES.legacy : WIRES.v1
        const simulation = simulate({
          ...{ scheme: made, downlinkScheme: made, wire, workload: WORKLOADS[name], seed },
        })
        for (const direction of ['up', 'down'] as const) {
          expectShape(simulation, { wire, direction }).toFollow(made)
        }
      }),
      { numRuns: 100 },
    )
  }, 60_000)

  it('does not pass what another scheme makes', () => {
    const scheme = parseScheme('stop=3\n1=40-60\n2=70-90')
    const simulation = simulate({ scheme, wire: WIRES.v1, workload: WORKLOADS.page })
    expect(() => expectShape(simulation).toFollow(DEFAULT_SCHEME)).toThrow(ShapeError)
  })
})

describe('expectShape under node:test', () => {
  it('fails the test that it stands in, with record, size and range, and no other', () => {
    const file = fileURLToPath(new URL('expect-shape.node.ts', import.meta.url))
    const { stdout, status } = spawnSync(
      process.execPath,
      ['--import', 'tsx', '--test', '--test-reporter=tap', file],
      // The runner of this very test must not take it for one of its own.
      { encoding: 'utf8', env: { ...process.env, NODE_TEST_CONTEXT: undefined }, timeout: 20_000 },
    )
    expect(stdout).toContain('# pass 1\n# fail 1\n')
    expect(stdout).toMatch(/^ok 1 - follows/m)
    expect(stdout).toMatch(/^not ok 2 - does not follow/m)
    expect(stdout).toContain('record 1 up carries')
    expect(stdout).toContain("code: 'ERR_SHAPE_MISMATCH'")
    expect(status).toBe(1)
  })
})
