// The options of Mux.Pro: defaults, limits, messages.
import { describe, expect, it } from 'vitest'
import { AnyTlsError } from '../../../src/errors.ts'
import {
  DEFAULT_TIMEOUTS,
  parseClientSettings,
  parseServerSettings,
} from '../../../src/wires/muxpro/config.ts'
import { thrownBy } from '../../codec/vectors.ts'

/** An option of either end, which is asked with it alone. */
type Parse = (value: never) => unknown

const OPTIONS: Record<string, { parse: Parse; good: unknown[]; bad: unknown[]; problem: string }> =
  {
    countPlace: {
      parse: (countPlace) => parseClientSettings({ countPlace }),
      good: ['metadata', 'extra-data'],
      bad: ['nowhere', ''],
      problem: 'countPlace must be metadata or extra-data',
    },
    firstPriority: {
      parse: (firstPriority) => parseServerSettings({ firstPriority }),
      good: [0, 1, 255],
      bad: [-1, 0.5, 256, NaN],
      problem: 'firstPriority must be a whole number from 0 to 255',
    },
    maxStreams: {
      parse: (maxStreams) => parseServerSettings({ maxStreams }),
      good: [1, 65_535],
      bad: [0, 1.5, 65_536, NaN],
      problem: 'maxStreams must be a whole number from 1 to 65535',
    },
    'a time limit': {
      parse: (keepalive) => parseClientSettings({ timeouts: { keepalive } }),
      good: [1, 0.5, Infinity],
      bad: [0, -1, NaN],
      problem: 'timeouts.keepalive must be above 0 milliseconds',
    },
    'an unknown time limit': {
      parse: (hold) => parseServerSettings({ timeouts: { hold } as object }),
      good: [],
      bad: [1],
      problem: 'timeouts.hold is not known',
    },
  }

describe('the settings of Mux.Pro', () => {
  it('what is left out is the default, what is given overrides it, and time limits are frozen', () => {
    const common = { timeouts: DEFAULT_TIMEOUTS, maxStreams: 1_024 }
    expect(parseClientSettings({})).toEqual({ ...common, countPlace: 'metadata' })
    expect(parseServerSettings({})).toEqual({ ...common, firstPriority: 0 })
    const { timeouts, maxStreams } = parseServerSettings({ timeouts: { stream: 7 }, maxStreams: 3 })
    expect(timeouts).toEqual({ ...DEFAULT_TIMEOUTS, stream: 7 })
    expect(maxStreams).toBe(3)
    expect(Object.isFrozen(timeouts)).toBe(true)
  })

  it.each(Object.entries(OPTIONS))(
    '%s: the smallest and the largest are taken, whatever lies beyond is refused in words',
    (_name, { parse, good, bad, problem }) => {
      for (const value of good) expect(parse(value as never)).toBeDefined()
      for (const value of bad) {
        const error = thrownBy(() => parse(value as never), String(value))
        expect(error).toBeInstanceOf(AnyTlsError)
        expect(error).toMatchObject({ code: 'ERR_OPTION_INVALID', message: problem })
      }
    },
  )
})
