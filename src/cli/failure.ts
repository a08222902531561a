// Turns whatever ended a program into an exit code and one line. The only place that does.
// Must never show a stack trace, or a control character.

import type { CommanderError } from 'commander'
import { AnyTlsError, PeerCloseError } from '../errors.ts'
import type { ErrorCode } from '../errors.ts'
import { systemCode } from '../serve/files.ts'

/** How a program ends. */
export interface Ending {
  /** 0 after help and version; 2 when the user has to change something; 1 for everything else. */
  readonly exitCode: number
  /** What to say on standard error; absent when all is well. Not yet escaped. */
  readonly line?: string
}

/** What is wrong with the command line, or with a file or link that it names. */
const USAGE_CODES: ReadonlySet<ErrorCode> = new Set([
  'ERR_OPTION_INVALID',
  'ERR_FILE',
  'ERR_LINK_INVALID',
  'ERR_ADDRESS_INVALID',
  'ERR_SCHEME_SYNTAX',
  'ERR_SCHEME_LIMIT',
  'ERR_WORKLOAD_INVALID',
  'ERR_SIMULATION_INVALID',
  'ERR_USER_EXISTS',
  'ERR_USER_UNKNOWN',
])

export function endingFor(error: unknown): Ending {
  if (isCommanderError(error)) return commanderEnding(error)
  const exitCode = error instanceof AnyTlsError && USAGE_CODES.has(error.code) ? 2 : 1
  return { exitCode, line: `anytls: ${describeError(error)}` }
}

/** By its code: the class would load all of commander for an error that it may not have made. */
function isCommanderError(error: unknown): error is CommanderError {
  return error instanceof Error && 'exitCode' in error && systemCode(error).startsWith('commander.')
}

function commanderEnding({ exitCode, code, message }: CommanderError): Ending {
  if (exitCode === 0) return { exitCode: 0 }
  const problem =
    code === 'commander.help'
      ? 'a command is needed; anytls --help tells more'
      : message.replace(/^error: /, '').replace(/\n(?=\(Did you mean [^\n]*$)/, ' ')
  return { exitCode: 2, line: `anytls: ${problem}` }
}

/** An error in one line for people, with the code of the system or what the peer said. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const text = error.message === '' ? error.name : error.message
  if (error instanceof PeerCloseError && error.reason !== '') return `${text}: ${error.reason}`
  const code = systemCode(error instanceof AnyTlsError ? innermost(error.cause) : error)
  return code === '' || text.includes(code) ? text : `${text} (${code})`
}

/** Of several errors, as when no address of a name answered, the first speaks for all. */
export function innermost(cause: unknown): unknown {
  return cause instanceof AggregateError ? cause.errors[0] : cause
}
