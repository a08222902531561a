// `anytls compare`: reads two sets of files and tells how well they can be told apart.
// Must never take a file into both sets: its connections would be compared with themselves.

import { invalidOption } from '../errors.ts'
import { compare, observe } from '../harness/compare/compare.ts'
import type { Observation } from '../harness/compare/compare.ts'
import type { HandshakeRecords } from '../harness/report/from-capture.ts'
import type { CompareCommandOptions } from './compare-options.ts'
import { formatComparison } from './compare-text.ts'
import { isSameFile } from '../serve/files.ts'
import { Progress } from './progress.ts'
import { readSource } from './source-file.ts'
import { writeStdout } from './stdout.ts'

/**
 * @throws AnyTlsError `ERR_FILE`, one line with the name of the file and, where there is one, the line;
 * `ERR_OPTION_INVALID` for a file that stands there twice, or too few connections
 */
export async function runCompare(
  a: readonly string[],
  { with: b, seed, skipUp, skipDown, json }: CompareCommandOptions,
): Promise<void> {
  const files = [...a, ...b]
  for (const [place, file] of files.entries()) {
    if (!files.slice(0, place).some((other) => isSameFile(file, other))) continue
    throw invalidOption(`'${file}' stands there twice`)
  }
  const progress = new Progress()
  const skip = { up: skipUp, down: skipDown }
  const observed = {
    a: await observeAll(a, skip, progress),
    b: await observeAll(b, skip, progress),
  }
  const comparison = compare(observed.a, observed.b, {
    seed,
    progress: (step) => progress.tell(`comparing ${step}`),
  })
  await writeStdout(
    json === true ? `${JSON.stringify(comparison, null, 2)}\n` : formatComparison(comparison),
  )
}

/** One file at a time: only what is compared is kept of each. */
async function observeAll(
  files: readonly string[],
  skip: HandshakeRecords,
  progress: Progress,
): Promise<Observation[]> {
  const observations: Observation[] = []
  for (const file of files) {
    progress.tell(`reading '${file}'`)
    for (const run of (await readSource(file, skip)).runs) {
      const observation = observe(run)
      if (observation !== undefined) observations.push(observation)
    }
  }
  return observations
}
