#!/usr/bin/env node
// The program `anytls`. Here alone a process ends because of an error.
// Must never show a stack trace, or more than one line, for what a user did.

import { AnyTlsError } from '../errors.ts'
import { endingFor } from './failure.ts'
import { createLog } from './logger.ts'
import type { LogOptions, ProgramLog } from './logger.ts'
import { createProgram } from './program.ts'

/** The log of the command once its options are known; until then errors are told as text. */
let log = createLog({ level: 'info', format: 'text' })

const openLog = (options: LogOptions): ProgramLog => (log = createLog(options))

function end(error: unknown): void {
  const { exitCode, line } = endingFor(error)
  // Help and version, which standard output may still have to write.
  if (line === undefined) return
  // Where an error that is none of ours comes from is all that there is to find it by.
  if (error instanceof Error && !(error instanceof AnyTlsError) && exitCode === 1) {
    log.logger.debug({ stack: error.stack }, 'origin')
  }
  log.announce(line, 'fatal')
  process.exit(exitCode)
}

process.on('uncaughtException', end)

try {
  await createProgram({
    scheme: async () => (await import('./scheme-command.ts')).schemeCommands,
    server: async (options) => (await import('./server-command.ts')).runServer(options, openLog),
    client: async (options) => (await import('./client-command.ts')).runClient(options, openLog),
    link: async (server, options) => (await import('./link-command.ts')).runLink(server, options),
    capture: async (options) => (await import('./capture-command.ts')).runCapture(options, openLog),
    convert: async (options) => (await import('./convert-command.ts')).runConvert(options),
    report: async (files, options) =>
      (await import('./report-command.ts')).runReport(files, options),
    compare: async (files, options) =>
      (await import('./compare-command.ts')).runCompare(files, options),
  }).parseAsync()
  process.exit(0)
} catch (error) {
  end(error)
}
