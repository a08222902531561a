// The program `anytls` but for its version. Here alone a process ends because of an error.
// Must never show a stack trace, or more than one line, for what a user did.

import { AnyTlsError } from '../errors.ts'
import { endingFor } from './failure.ts'
import type { OpenLog, ProgramLog } from './logger.ts'
import type { Commands } from './program.ts'
import { escapeControls } from './printable.ts'
import { WORKER_ARGUMENT } from './worker-argument.ts'

/** The log of the command once its options are known; until then errors are told as text. */
let log: ProgramLog | undefined

/** Loads what writes logs, which help and most commands do without. */
async function logOpener(): Promise<OpenLog> {
  const { createLog } = await import('./logger.ts')
  return (options) => (log = createLog(options))
}

function end(error: unknown): void {
  const { exitCode, line } = endingFor(error)
  // Help and version, which standard output may still have to write.
  if (line === undefined) return
  // Where an error that is none of ours comes from is all that there is to find it by.
  if (error instanceof Error && !(error instanceof AnyTlsError) && exitCode === 1) {
    log?.logger.debug({ stack: error.stack }, 'origin')
  }
  if (log === undefined) process.stderr.write(`${escapeControls(line)}\n`)
  else log.announce(line, 'fatal')
  process.exit(exitCode)
}

process.on('uncaughtException', end)

const args = process.argv.slice(2)

try {
  if (args[0] === WORKER_ARGUMENT && process.send !== undefined) {
    await (await import('./worker.ts')).runWorker(await logOpener())
    process.exit(0)
  }
  const { createProgram } = await import('./program.ts')
  const commands: Commands = {
    scheme: async () => (await import('./scheme-command.ts')).schemeCommands,
    user: async () => (await import('./user-command.ts')).userCommands,
    server: async (options) =>
      (await import('./server-command.ts')).runServer(options, await logOpener(), async () => {
        let read = options
        const server: Commands['server'] = (now) => Promise.resolve(void (read = now))
        await createProgram({ ...commands, server }).parseAsync()
        return read
      }),
    client: async (options) =>
      (await import('./client-command.ts')).runClient(options, await logOpener()),
    link: async (server, options) => (await import('./link-command.ts')).runLink(server, options),
    capture: async (options) =>
      (await import('./capture-command.ts')).runCapture(options, await logOpener()),
    convert: async (options) => (await import('./convert-command.ts')).runConvert(options),
    report: async (files, options) =>
      (await import('./report-command.ts')).runReport(files, options),
    compare: async (files, options) =>
      (await import('./compare-command.ts')).runCompare(files, options),
    checkConfig: async (file, candidates) =>
      (await import('./config-command.ts')).checkConfig(file, candidates),
  }
  await createProgram(commands).parseAsync()
  process.exit(0)
} catch (error) {
  end(error)
}
