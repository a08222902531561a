// Mutation testing, folder by folder: `npm run mutate [codec shaping …]`. The mutants of a folder have to die by
// the tests of that folder, not by whatever else happens to run through it.
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync } from 'node:fs'
import { constants, setPriority } from 'node:os'

const TESTS = {
  codec: ['test/codec', 'test/property/wire.test.ts', 'test/property/udp-over-tcp.test.ts'],
  shaping: ['test/shaping', 'test/property/shaping.test.ts'],
  engine: ['test/engine', 'test/wires', 'test/sim'],
  wires: ['test/wires', 'test/sim', 'test/property/frames.test.ts'],
  session: ['test/session'],
}

/** The score below which a run has failed, in percent of the mutants. */
const LEAST = 85

const folders = process.argv.slice(2).filter((argument) => !argument.startsWith('-'))
const options = process.argv.slice(2).filter((argument) => argument.startsWith('-'))
// It takes long: whatever else runs on the machine goes first.
setPriority(constants.priority.PRIORITY_LOW)
mkdirSync('.stryker', { recursive: true })
let failed = false
for (const argument of folders.length > 0 ? folders : Object.keys(TESTS)) {
  // `wires/netmux/machine.ts` for one file of a folder.
  const folder = argument.split('/')[0] ?? ''
  const tests = TESTS[folder]
  if (tests === undefined) {
    console.error(`no such folder: ${argument}; there are ${Object.keys(TESTS).join(', ')}`)
    process.exit(2)
  }
  const name = argument.replaceAll('/', '-')
  const testFiles = tests.map((path) => (path.endsWith('.ts') ? path : `${path}/**/*.test.ts`))
  const { status } = spawnSync(
    'npx',
    [
      'stryker',
      'run',
      ...['--mutate', argument.endsWith('.ts') ? `src/${argument}` : `src/${argument}/**/*.ts`],
      ...['--testFiles', testFiles.join(',')],
      ...['--incrementalFile', `.stryker/${name}.json`],
      ...options,
    ],
    { stdio: 'inherit' },
  )
  if (status !== 0) process.exit(status ?? 1)
  failed = !report(argument, `.stryker/${name}.json`) || failed
}
process.exit(failed ? 1 : 0)

/** Prints the score of one folder: killed or timed out, of all that were valid. */
function report(argument, file) {
  const { files } = JSON.parse(readFileSync(file, 'utf8'))
  const mutants = Object.values(files).flatMap((each) => each.mutants)
  const count = (...states) => mutants.filter(({ status }) => states.includes(status)).length
  const dead = count('Killed', 'Timeout')
  const alive = count('Survived', 'NoCoverage')
  const score = (100 * dead) / (dead + alive)
  console.log(`${argument}: ${score.toFixed(1)} % of ${dead + alive} mutants, ${alive} alive`)
  return score >= LEAST
}
