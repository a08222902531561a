// The short form of `npm run fuzz`: every decoder, with the same few hundred inputs each time.
import { describe, expect, it } from 'vitest'
import { seededRandomInt } from '../support/seeded-random.ts'
import { mutate, readCorpus } from './fuzzer.ts'
import { runTarget, TARGETS } from './targets.ts'

const RUNS = 400

describe('fuzzing', () => {
  const corpus = readCorpus()

  it.each(Object.entries(TARGETS))(
    'Bad input: %s throws an AnyTlsError or nothing',
    (_, target) => {
      const random = seededRandomInt(1)
      for (const bytes of corpus) runTarget(target, bytes)
      for (let run = 0; run < RUNS; run += 1) runTarget(target, mutate(corpus, random))
    },
  )

  it('a target that throws anything else is found', () => {
    const faulty = (bytes: Uint8Array): void => {
      if (bytes[0] === 0xff) throw new RangeError('a fault')
    }
    const random = seededRandomInt(1)
    expect(() => {
      for (let run = 0; run < 20_000; run += 1) runTarget(faulty, mutate(corpus, random))
    }).toThrow('a fault')
  })
})
