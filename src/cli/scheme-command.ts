// `anytls scheme`: reads the files, and prints what the shaping harness finds.

import { writeFileSync } from 'node:fs'
import { fitScheme } from '../harness/fit/fit.ts'
import type { Run } from '../harness/report/source.ts'
import { V1_WIRE } from '../harness/simulate/v1-model.ts'
import { AnyTlsError } from '../errors.ts'
import { LEGACY_WIRE } from '../harness/simulate/legacy-model.ts'
import { simulate, simulateRuns } from '../harness/simulate/simulate.ts'
import { parseWorkload } from '../harness/simulate/workload.ts'
import type { Workload } from '../harness/simulate/workload.ts'
import { WORKLOADS } from '../harness/simulate/workloads.ts'
import { checkScheme } from '../shaping/scheme-check.ts'
import type { SchemeProblem } from '../shaping/scheme-check.ts'
import type { NamedScheme } from '../shaping/named-schemes.ts'
import { summarizeScheme } from '../shaping/scheme-summary.ts'
import { DEFAULT_SCHEME, formatScheme, parseScheme } from '../shaping/scheme.ts'
import type { Scheme } from '../shaping/scheme.ts'
import {
  fileError,
  fileProblem,
  MAX_FILE_SIZE,
  readTextFile,
  refuseInput,
  systemCode,
} from '../serve/files.ts'
import { escapeControls } from './printable.ts'
import { Progress } from './progress.ts'
import type { SchemeCommands } from './scheme-options.ts'
import { formatSimulation, formatSimulationCsv } from './simulation-text.ts'
import { namedScheme } from './scheme-source.ts'
import { formatFit, formatSummary } from './scheme-text.ts'
import { readSource } from './source-file.ts'
import { writeStdout } from './stdout.ts'

const WIRES = { v1: V1_WIRE, legacy: LEGACY_WIRE } as const

/**
 * The commands. What is wrong with a file is thrown as an AnyTlsError whose code means exit code 2:
 * `ERR_FILE`, `ERR_SCHEME_SYNTAX`, `ERR_OPTION_INVALID`.
 */
export const schemeCommands: SchemeCommands = {
  async check(file, { json = false }) {
    const { problems, scheme } = checkScheme(
      namedScheme(file)?.up.text ?? (await readText(file, 'scheme')),
    )
    const summary = scheme && summarizeScheme(scheme)
    const errors = problems.filter(({ severity }) => severity === 'error')
    if (json) {
      const { stop, restart, digest } = scheme ?? {}
      await printJson({ file, problems, stop, restart, digest, summary })
    } else {
      const lines = problems.map((problem) => `${problemLine(file, problem)}\n`)
      const about = scheme && summary ? formatSummary(scheme, summary) : ''
      await writeStdout(lines.join('') + about)
    }
    if (errors.length > 0) {
      const count = errors.length === 1 ? 'one error' : `${errors.length} errors`
      throw new AnyTlsError('ERR_SCHEME_SYNTAX', `scheme '${file}' has ${count}`)
    }
  },

  async show(file, { json = false }) {
    const scheme = await readScheme(file)
    const canonical = parseScheme(formatScheme(scheme))
    if (json) {
      const { stop, restart } = canonical
      const entries = [...canonical.entries].map(([index, items]) => ({ index, items }))
      await printJson({ stop, restart, entries, text: canonical.text, digest: canonical.digest })
      return
    }
    await writeStdout(`${canonical.text}\n`)
    const { digest } = scheme
    const given = digest === canonical.digest ? '' : `; in the order of the file, ${digest}`
    process.stderr.write(`digest ${canonical.digest}${given}\n`)
  },

  async simulate(file, options) {
    const { wire, seed, runs, flushMs, shapeDownlink, padControl } = options
    const scheme = await readScheme(file)
    const downlinkScheme =
      typeof shapeDownlink === 'string'
        ? await readScheme(shapeDownlink, 'down')
        : shapeDownlink && (namedScheme(file ?? '')?.down ?? scheme)
    const simulated = {
      scheme,
      downlinkScheme,
      wire: WIRES[wire],
      workload: await readWorkload(options.workload),
      seed,
      runs,
      flushTime: flushMs,
      ...(padControl !== undefined && { padControl }),
    }
    const simulation = simulate(simulated)
    if (options.json === true) {
      await writeStdout(`${JSON.stringify(simulation)}\n`)
    } else if (options.csv === true) {
      await writeStdout(formatSimulationCsv(simulation))
    } else {
      const [first = []] = simulateRuns({ ...simulated, runs: 1 })
      await writeStdout(formatSimulation(simulation, first))
    }
  },

  async fit(files, options) {
    const { out, wire, direction, records, maxOverhead, restart, seed, skipUp, skipDown } = options
    refuseInput(`scheme '${out}'`, out, files)
    const progress = new Progress()
    const runs: Run[] = []
    for (const file of files) {
      progress.tell(`reading '${file}'`)
      const source = await readSource(file, { up: skipUp, down: skipDown })
      for (const run of source.runs) runs.push(run)
    }
    progress.tell('fitting')
    const fit = fitScheme(runs, {
      ...{ direction, records, maxOverhead, seed, wire: WIRES[wire] },
      workload: await readWorkload(options.workload),
      ...(restart !== undefined && { restart }),
    })
    try {
      writeFileSync(out, `${fit.scheme.text}\n`)
    } catch (cause) {
      throw fileError(`cannot write scheme '${out}': ${fileProblem(cause)}`, cause)
    }
    await writeStdout(formatFit(fit))
  },
}

async function readScheme(
  file: string | undefined,
  direction: keyof NamedScheme = 'up',
): Promise<Scheme> {
  if (file === undefined) return DEFAULT_SCHEME
  const named = namedScheme(file)
  if (named !== undefined) return named[direction]
  const { problems, scheme } = checkScheme(await readText(file, 'scheme'))
  if (scheme !== undefined) return scheme
  const [first, ...others] = problems.filter(({ severity }) => severity === 'error')
  const where = first === undefined ? file : problemLine(file, first)
  const more = others.length > 0 ? ` (and ${others.length} more; see anytls scheme check)` : ''
  throw new AnyTlsError('ERR_SCHEME_SYNTAX', where + more)
}

async function readWorkload(name: string): Promise<Workload> {
  if (isBuiltIn(name)) return WORKLOADS[name]
  let text: string
  try {
    text = await readText(name, 'workload')
  } catch (error) {
    if (!(error instanceof AnyTlsError) || systemCode(error.cause) !== 'ENOENT') throw error
    const names = Object.keys(WORKLOADS).join(', ')
    throw fileError(`${error.message}, and none of the built-in ones: ${names}`)
  }
  try {
    return parseWorkload(text)
  } catch (cause) {
    if (!(cause instanceof AnyTlsError)) throw cause
    throw fileError(`'${name}': ${cause.message}`, cause)
  }
}

function isBuiltIn(name: string): name is keyof typeof WORKLOADS {
  return Object.hasOwn(WORKLOADS, name)
}

/** As compilers do, so that editors find the place. */
function problemLine(file: string, { line, column, severity, message }: SchemeProblem): string {
  return escapeControls(`${file}:${line}:${column}: ${severity}: ${message}`)
}

/** The text of a file, or of standard input for `-`. */
async function readText(file: string, what: string): Promise<string> {
  if (file !== '-') return readTextFile(file, what)
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of process.stdin) {
    chunks.push(chunk as Buffer)
    length += (chunk as Buffer).length
    if (length > MAX_FILE_SIZE) {
      const problem = `standard input is larger than ${MAX_FILE_SIZE} bytes`
      throw fileError(problem)
    }
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks))
  } catch (cause) {
    throw fileError('standard input is not UTF-8 text', cause)
  }
}

function printJson(value: unknown): Promise<void> {
  return writeStdout(`${JSON.stringify(value, null, 2)}\n`)
}
