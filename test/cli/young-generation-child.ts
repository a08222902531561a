// Makes garbage of which some lives on for a while, as requests do, and says in how many bytes of young generation.
import { setImmediate } from 'node:timers/promises'
import { getHeapSpaceStatistics } from 'node:v8'
import { boundYoungGeneration } from '../../src/cli/young-generation.ts'

if (process.argv[2] === 'bounded') boundYoungGeneration()
const alive: unknown[] = []
let most = 0
for (let turn = 0; turn < 1_500; turn += 1) {
  for (let index = 0; index < 1_000; index += 1) {
    alive[(turn * 1_000 + index) % 100_000] = { turn, bytes: [index, turn, index] }
  }
  const space = getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space')
  most = Math.max(most, space?.space_size ?? 0)
  await setImmediate()
}
process.stdout.write(`${most}\n`)
