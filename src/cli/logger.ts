// The log of the programs: to standard error, as text for people or as one JSON object a line.
// Must never write a control character that came from outside.

import { isatty } from 'node:tty'
import { pino, stdTimeFunctions } from 'pino'
import type { DestinationStream, Logger } from 'pino'
import pretty from 'pino-pretty'
import { describeError } from './failure.ts'
import type { LogFormat, LogLevel } from './options.ts'
import { escapeControls, escapeJsonStrings } from './printable.ts'
import { StderrDestination } from './stderr.ts'

/** A log, and the few lines that scripts wait for. */
export interface ProgramLog {
  readonly logger: Logger
  /**
   * Writes a line whatever the level: as it is in text format, as the `msg` of an object in JSON, so
   * that looking for a piece of it works in both.
   */
  announce(line: string, level?: 'info' | 'fatal'): void
  /** Writes a line of a process of ours, which has its form already. */
  pass(line: string): void
  /** Whether the text has colours. */
  readonly colorize: boolean
}

interface LogOptions {
  readonly level: LogLevel
  readonly format: LogFormat
  /** Default: standard error, which is never waited for. */
  readonly destination?: DestinationStream
  /** Colours in text format. Default: whether standard error is a terminal. */
  readonly colorize?: boolean
}

/** Opens the log of a program, once its options are known. */
export type OpenLog = (options: LogOptions) => ProgramLog

/** Makes the log of a program. */
export function createLog(options: LogOptions): ProgramLog {
  const { format } = options
  const onDropped = (lines: number): void =>
    logger.warn({ lines }, 'lines were left out: nobody read them')
  const destination = options.destination ?? new StderrDestination(onDropped)
  const { colorize = isatty(2) } = options
  const sink = format === 'json' ? jsonSink(destination) : textSink(destination, colorize)
  const logger: Logger = pino(
    {
      level: options.level,
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: describeError },
    },
    sink,
  )
  const unfiltered = logger.child({}, { level: 'info' })
  return {
    logger,
    announce(line, level = 'info') {
      if (format === 'json') unfiltered[level](line)
      else destination.write(`${escapeControls(line)}\n`)
    },
    pass: (line) => destination.write(`${line}\n`),
    colorize,
  }
}

function jsonSink(destination: DestinationStream): DestinationStream {
  return { write: (line) => destination.write(`${escapeControls(line.trimEnd())}\n`) }
}

function textSink(destination: DestinationStream, colorize: boolean): DestinationStream {
  const prettify = pretty.prettyFactory({
    colorize,
    singleLine: true,
    errorLikeObjectKeys: [],
    translateTime: 'SYS:yyyy-mm-dd HH:MM:ss.l o',
  })
  return { write: (line) => destination.write(prettify(escapeJsonStrings(line.trimEnd()))) }
}
