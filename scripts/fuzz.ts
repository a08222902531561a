// `npm run fuzz [-- --seconds N --seed N --only NAME]`: every decoder in turn, for as long as one likes. An input that
// breaks one is kept as a file, and its seed is told.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { mutate, readCorpus } from '../test/fuzz/fuzzer.ts'
import { runTarget, TARGETS } from '../test/fuzz/targets.ts'
import { seededRandomInt } from '../test/support/seeded-random.ts'

const FOUND = join(import.meta.dirname, '../node_modules/.cache/fuzz')
/** Inputs of one seed. */
const BATCH = 200
/** Longer than that for one input is a fault as well, in ms. */
const SLOW = 2_000

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: String(Date.now() % 1e9) },
    only: { type: 'string', default: '' },
  },
})
const corpus = readCorpus()
const targets = Object.entries(TARGETS).filter(([name]) => name.includes(values.only))
const end = Date.now() + Number(values.seconds) * 1_000
const broken = new Set<string>()
let [seed, runs] = [Number(values.seed), 0]
// Errors are made by the million, and nobody reads where.
Error.stackTraceLimit = 0
do {
  for (const [name, target] of targets) {
    const random = seededRandomInt(seed)
    for (let count = 0; count < BATCH && !broken.has(name); count += 1) {
      const bytes = mutate(corpus, random)
      const started = performance.now()
      try {
        runTarget(target, bytes)
        const took = performance.now() - started
        if (took > SLOW) throw new Error(`it took ${Math.round(took)} ms`)
      } catch (error) {
        broken.add(name)
        mkdirSync(FOUND, { recursive: true })
        const file = join(FOUND, `${name.replaceAll(/\W+/g, '-')}-${seed}.bin`)
        writeFileSync(file, bytes)
        console.error(`${name}, seed ${seed}, input in ${file}: ${String(error)}`)
      }
      runs += 1
    }
  }
  seed += 1
} while (Date.now() < end)
console.log(`${runs} inputs for ${targets.length} decoders, ${broken.size} of them broken`)
process.exitCode = broken.size === 0 ? 0 : 1
