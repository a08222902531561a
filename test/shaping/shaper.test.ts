// The shaper against its vectors on the ANYTLS v1 wire, and what the vectors cannot say.
import { describe, expect, it } from 'vitest'
import fixtures from '../../fixtures/shaper.json' with { type: 'json' }
import { DEFAULT_SCHEME, parseScheme } from '../../src/shaping/scheme.ts'
import { type PaddingFormat, type RandomInt, Shaper } from '../../src/shaping/shaper.ts'
import { concatBytes } from '../../src/codec/bytes.ts'
import { seededRandomInt } from '../support/seeded-random.ts'
import { isV1PaddingFrame, v1Padding } from '../support/v1-padding.ts'

describe('Shaper, ANYTLS v1 wire', () => {
  it('D22: padding hits the target to the byte, but for gaps of 1 and 2 bytes', () => {
    followVectors('D22')
  })

  it('D28: Deliver 0 is never shaped, and the first range of index 0 pads AUTH', () => {
    followVectors('D28')
  })

  it('D29: each Deliver counts; without an entry, and from stop on, data goes as it is', () => {
    followVectors('D29')
  })

  it('D30: a range is drawn from its start on, its end left out', () => {
    followVectors('D30')
  })

  it('D31: c ends the Deliver when no data is left, and only then', () => {
    followVectors('D31')
  })

  it('D32: splits, pads, sends PADDING alone, and what is left over as one Write', () => {
    followVectors('D32')
  })

  it('D28: Deliver 0 is one Write, the very bytes that were given', () => {
    const data = dataOf(3000)
    const shaper = new Shaper(DEFAULT_SCHEME, seededRandomInt(1), v1Padding)
    const [write, ...others] = shaper.deliver(data)
    expect(write).toBe(data)
    expect(others).toEqual([])
  })

  it('Writes without padding are views of the data, not copies', () => {
    const data = dataOf(100)
    const shaper = new Shaper(parseScheme('stop=2\n1=10-10,20-20'), seededRandomInt(1), v1Padding)
    shaper.deliver(dataOf(1))
    for (const write of shaper.deliver(data)) expect(write.buffer).toBe(data.buffer)
  })

  it('D32: data that meets its target asks for no padding at all', () => {
    const format: PaddingFormat = {
      fill: (bytes) => expect.fail(`a frame of ${bytes} bytes was asked for`),
      alone: (target) => expect.fail(`a frame for ${target} bytes was asked for`),
    }
    const shaper = new Shaper(parseScheme('stop=2\n1=10-10,c'), seededRandomInt(1), format)
    shaper.deliver(dataOf(1))
    expect(lengthsOf(shaper.deliver(dataOf(10)))).toEqual([10])
  })

  it('empty data is no Deliver: no Write, not counted', () => {
    const shaper = new Shaper(parseScheme('stop=2\n1=10-10'), seededRandomInt(1), v1Padding)
    expect(shaper.deliver(new Uint8Array(0))).toEqual([])
    shaper.deliver(dataOf(5))
    expect(shaper.deliver(new Uint8Array(0))).toEqual([])
    expect(shaper.active).toBe(true)
    expect(lengthsOf(shaper.deliver(dataOf(5)))).toEqual([10])
    expect(shaper.active).toBe(false)
  })

  it('D30: draws are asked for as [min, max) and not at all for a-a', () => {
    const asked: [number, number][] = []
    const draw: RandomInt = (min, max) => {
      asked.push([min, max])
      return min
    }
    const shaper = new Shaper(DEFAULT_SCHEME, draw, v1Padding)
    shaper.authPadding()
    for (let index = 0; index < 4; index++) shaper.deliver(dataOf(450))
    expect(asked).toEqual([
      [100, 400],
      [400, 500],
      [500, 1000],
      [500, 1000],
    ])
  })
})

describe('Shaper, streams opened later', () => {
  const scheme = parseScheme('stop=4\nrestart=2\n1=10-10\n2=20-20\n3=30-30')
  const shaperAt = (delivers: number, text = scheme) => {
    const shaper = new Shaper(text, seededRandomInt(1), v1Padding)
    for (let index = 0; index < delivers; index++) shaper.deliver(dataOf(5))
    return shaper
  }

  it('restart: a stream opened beyond it has its entries again, from the Deliver with OPEN on', () => {
    const shaper = shaperAt(6)
    expect(shaper.active).toBe(false)
    shaper.streamOpened()
    expect(shaper.active).toBe(true)
    expect(shaper.nextIndex).toBe(2)
    expect([5, 5, 5].map((data) => lengthsOf(shaper.deliver(dataOf(data))))).toEqual([
      [20],
      [30],
      [5],
    ])
    expect(shaper.active).toBe(false)
  })

  it('restart: what is at or before it goes on as it was', () => {
    for (const delivers of [0, 1, 2]) {
      const shaper = shaperAt(delivers)
      shaper.streamOpened()
      expect(shaper.nextIndex).toBe(delivers)
    }
    const next = shaperAt(3)
    next.streamOpened()
    expect(next.nextIndex).toBe(2)
  })

  it('restart: without it, opening a stream changes nothing', () => {
    const shaper = shaperAt(9, parseScheme('stop=4\n1=10-10\n2=20-20'))
    shaper.streamOpened()
    expect(shaper.active).toBe(false)
    expect(shaper.nextIndex).toBe(9)
  })
})

describe('Shaper, control frames', () => {
  /** The Writes of the Deliver with this index, 2 bytes of control frames. */
  const controlAt = (text: string, index: number, draw: RandomInt = (min) => min, data = 2) => {
    const shaper = new Shaper(parseScheme(text), draw, v1Padding)
    for (let before = 0; before < index; before++) shaper.deliver(dataOf(1))
    return lengthsOf(shaper.deliver(dataOf(data), { control: true }))
  }

  it('without an entry they get a size of the nearest lower index that has ranges', () => {
    const text = 'stop=9\n0=7-7\n1=100-100\n3=40-40,300-301,50-50\n4=c\n7=500-500\n9=900-900'
    expect([2, 4, 5, 6, 8].map((index) => controlAt(text, index))).toEqual([
      [100],
      [300],
      [300],
      [300],
      [500],
    ])
  })

  it('without a lower index they get a size of the nearest higher one below stop', () => {
    expect(controlAt('stop=9\n0=7-7\n4=60-60\n6=80-80', 2)).toEqual([60])
    expect(controlAt('stop=5\n0=7-7\n5=90-90\n6=80-80', 2)).toEqual([2])
  })

  it('the size is drawn from the range', () => {
    const asked: number[][] = []
    const draw: RandomInt = (min, max) => {
      asked.push([min, max])
      return max - 1
    }
    const shaper = new Shaper(parseScheme('stop=9\n3=100-400'), draw, v1Padding)
    for (let before = 0; before < 3; before++) shaper.deliver(dataOf(1))
    shaper.deliver(dataOf(400))
    asked.length = 0
    expect(lengthsOf(shaper.deliver(dataOf(2), { control: true }))).toEqual([399])
    expect(asked).toEqual([[100, 400]])
  })

  it('what an entry leaves over is padded up, the Writes of the entry stay as they are', () => {
    expect(controlAt('stop=4\n2=3-3', 2, (min) => min, 5)).toEqual([3, 2])
    expect(controlAt('stop=4\n1=90-90\n2=3-3', 2, (min) => min, 7)).toEqual([3, 90])
    expect(controlAt('stop=4\n1=90-90\n2=3-3,8-8', 2, (min) => min, 12)).toEqual([3, 8, 90])
    expect(controlAt('stop=4\n1=90-90\n2=9-9,c,50-60', 2, (min) => min, 2)).toEqual([9])
    expect(controlAt('stop=4\n1=90-90\n2=c', 2)).toEqual([90])
    expect(controlAt('stop=4\n2=20-20\n3=50-50', 2, (min) => min, 25)).toEqual([20, 20])
  })

  it('they stay as they are where the size is no larger, at Deliver 0 and from stop on', () => {
    expect(controlAt('stop=4\n1=9-9', 2, (min) => min, 9)).toEqual([9])
    expect(controlAt('stop=4\n1=9-9', 2, (min) => min, 10)).toEqual([10])
    expect(controlAt('stop=4\n1=90-90', 0)).toEqual([2])
    expect(controlAt('stop=4\n1=90-90', 4)).toEqual([2])
    // D22: a gap of one or two bytes cannot be filled.
    expect(controlAt('stop=4\n1=4-4', 2)).toEqual([2])
  })

  it('data without the option is left alone, D29', () => {
    const shaper = new Shaper(parseScheme('stop=4\n1=90-90'), seededRandomInt(1), v1Padding)
    shaper.deliver(dataOf(1))
    shaper.deliver(dataOf(1))
    expect(lengthsOf(shaper.deliver(dataOf(2), { control: false }))).toEqual([2])
    expect(lengthsOf(shaper.deliver(dataOf(2)))).toEqual([2])
  })
})

describe('Shaper, a wire with heads of 7 bytes', () => {
  // The original's waste frames (D32): a gap of 7 bytes or fewer stays, PADDING alone is 7 bytes over.
  const format: PaddingFormat = {
    fill: (bytes) => (bytes > 7 ? new Uint8Array(bytes) : undefined),
    alone: (target) => new Uint8Array(target + 7),
  }

  it('D32: the quirks of the original come from the padding format alone', () => {
    const scheme = parseScheme('stop=4\n1=100-100\n2=100-100\n3=100-100,50-50')
    const shaper = new Shaper(scheme, seededRandomInt(1), format)
    const sizes = [10, 93, 92, 100].map((data) => lengthsOf(shaper.deliver(dataOf(data))))
    expect(sizes).toEqual([[10], [93], [100], [100, 57]])
  })
})

describe('uniformity', () => {
  it('D30: AUTH padding is uniform over [min, max)', () => {
    const random = seededRandomInt(7)
    const shaper = new Shaper(parseScheme('stop=1\n0=30-40'), random, v1Padding)
    expectUniform(30, 40, () => shaper.authPadding())
  })

  it('D30: the target of a Write is uniform over [min, max)', () => {
    const random = seededRandomInt(11)
    const scheme = parseScheme('stop=2\n1=500-520')
    expectUniform(500, 520, () => {
      const shaper = new Shaper(scheme, random, v1Padding)
      shaper.deliver(dataOf(1))
      return shaper.deliver(dataOf(1))[0]!.length
    })
  })
})

/** Runs the vectors of one decision. */
function followVectors(section: string): void {
  const cases = fixtures.cases.filter((vector) => vector.section.includes(section))
  expect(cases).not.toHaveLength(0)
  for (const { name, scheme, authPadding, draws, delivers } of cases) {
    const parsed = parseScheme(scheme)
    const random = fixedDraws(draws)
    const shaper = new Shaper(parsed, random.draw, v1Padding)
    expect.soft(shaper.authPadding(), name).toBe(authPadding)
    for (const [index, { data, writes }] of delivers.entries()) {
      expect.soft(shaper.active, name).toBe(index < parsed.stop)
      const bytes = dataOf(data)
      const made = shaper.deliver(bytes)
      expect.soft(lengthsOf(made), `${name}, Deliver ${index}`).toEqual(writes)
      expectDataThenPadding(made, bytes)
    }
    expect.soft(shaper.active, name).toBe(delivers.length < parsed.stop)
    expect.soft(random.left(), name).toBe(0)
  }
}

/** Pearson's chi-square over 20,000 draws; 3 sigma above its mean is beyond chance for a fixed seed. */
function expectUniform(min: number, max: number, draw: () => number): void {
  const [count, degrees] = [20_000, max - min - 1]
  const seen = new Map<number, number>()
  for (let index = 0; index < count; index++) {
    const value = draw()
    seen.set(value, (seen.get(value) ?? 0) + 1)
  }
  const values = Array.from({ length: max - min }, (_, index) => min + index)
  expect([...seen.keys()].sort((a, b) => a - b)).toEqual(values)
  const expected = count / values.length
  const chiSquare = [...seen.values()].reduce((sum, n) => sum + (n - expected) ** 2 / expected, 0)
  expect(chiSquare).toBeLessThan(degrees + 3 * Math.sqrt(2 * degrees))
}

function fixedDraws(draws: readonly number[]): { draw: RandomInt; left: () => number } {
  const rest = [...draws]
  return {
    draw: (min, max) => {
      const value = rest.shift()
      if (value === undefined || value < min || value >= max) {
        throw new Error(`${value ?? 'no value'} was drawn from [${min}, ${max})`)
      }
      return value
    },
    left: () => rest.length,
  }
}

function lengthsOf(writes: readonly Uint8Array[]): number[] {
  return writes.map(({ length }) => length)
}

function dataOf(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => index % 251)
}

/** All of the data in order, and nothing else but whole PADDING frames of zeros. */
function expectDataThenPadding(writes: readonly Uint8Array[], data: Uint8Array): void {
  const all = concatBytes(writes)
  expect(Buffer.compare(all.subarray(0, data.length), data)).toBe(0)
  let offset = 0
  for (const write of writes) {
    const padding = write.subarray(Math.min(write.length, Math.max(0, data.length - offset)))
    if (padding.length > 0) expect(isV1PaddingFrame(padding)).toBe(true)
    offset += write.length
  }
}
