// `anytls report`: turns captures and simulations into one HTML page.
// Must never read a file without a bound.

import { writeFileSync } from 'node:fs'
import { AnyTlsError, invalidOption } from '../errors.ts'
import { renderReport } from '../harness/report/page.ts'
import { MAX_SOURCES } from '../harness/report/chart-frame.ts'
import { parseComparison } from '../harness/report/comparison.ts'
import type { ComparisonResult } from '../harness/report/comparison.ts'
import type { ReportSource } from '../harness/report/source.ts'
import type { ReportCommandOptions } from './capture-options.ts'
import { fileError, fileProblem, readTextFile, refuseInput } from '../serve/files.ts'
import { readPaddingScheme } from './scheme-source.ts'
import { readSource } from './source-file.ts'

/** @throws AnyTlsError `ERR_FILE`, one line with the name of the file and, where there is one, the line */
export async function runReport(
  files: readonly string[],
  options: ReportCommandOptions,
): Promise<void> {
  if (files.length > MAX_SOURCES) {
    throw invalidOption(`a report takes at most ${MAX_SOURCES} files`)
  }
  const { out, scheme, downlinkScheme, comparison } = options
  refuseInput(`report '${out}'`, out, [...files, scheme, downlinkScheme, comparison])
  const schemes = {
    ...(scheme !== undefined && { up: readPaddingScheme(scheme, 'up') }),
    ...(downlinkScheme !== undefined && { down: readPaddingScheme(downlinkScheme, 'down') }),
  }
  const skip = { up: options.skipUp, down: options.skipDown }
  const sources: ReportSource[] = []
  // One at a time: only what the report needs of each is kept.
  for (const file of files) sources.push(await readSource(file, skip))
  const page = renderReport(sources, {
    schemes,
    ...(comparison !== undefined && { comparison: readComparison(comparison) }),
  })
  try {
    writeFileSync(out, page)
  } catch (cause) {
    throw fileError(`cannot write report '${out}': ${fileProblem(cause)}`, cause)
  }
  if (sources.every(isEmpty))
    process.stderr.write('anytls: none of the files has records to show\n')
}

function isEmpty({ runs }: ReportSource): boolean {
  return runs.every(({ up, down }) => up.sizes.length + down.sizes.length === 0)
}

function readComparison(path: string): ComparisonResult {
  try {
    return parseComparison(path, readTextFile(path, 'comparison'))
  } catch (cause) {
    if (!(cause instanceof AnyTlsError) || cause.code === 'ERR_FILE') throw cause
    throw fileError(`'${path}': ${cause.message}`)
  }
}
