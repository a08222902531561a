// Writes a capture to a file as its events come.
// Must never let more wait for the disk than a bound: then connections wait.

import { createWriteStream, openSync } from 'node:fs'
import type { Writable } from 'node:stream'
import type { CaptureHeader } from './capture-event.ts'
import { encodeCaptureLine } from './capture-event.ts'
import type { CaptureSink } from './recorder.ts'

/** Bytes that may wait for the disk before connections are held back. */
const WRITE_AHEAD = 1024 * 1024

/** A capture file under way. However its program ends, what it holds then can be read. */
export interface CaptureFile extends CaptureSink {
  /** Rejects with the error of node:fs when the file cannot be written any more; never resolves. */
  readonly failed: Promise<never>
  /** Ends it as a whole. Resolves when all is on disk or the file has failed. */
  close(): Promise<void>
}

/**
 * Begins a capture file in the place of whatever there is, readable by its owner alone.
 *
 * @throws the error of node:fs when it cannot be written
 */
export function createCaptureFile(path: string, header: CaptureHeader): CaptureFile {
  const fd = openSync(path, 'w', 0o600)
  const stream = createWriteStream(path, { fd, highWaterMark: WRITE_AHEAD })
  const failed = new Promise<never>((_, reject) => stream.once('error', reject))
  // Whether anybody waits for it or not.
  failed.catch(() => {})
  const closed = new Promise<void>((resolve) => stream.once('close', resolve))
  /** One for all that wait. */
  let room: Promise<void> | undefined
  let lines = 1
  stream.write(encodeCaptureLine(header))
  return {
    failed,
    write(event) {
      if (stream.destroyed || stream.write(encodeCaptureLine(event, (lines += 1)))) return undefined
      return (room ??= drained(stream).then(() => (room = undefined)))
    },
    close() {
      stream.end(encodeCaptureLine({ event: 'end' }, lines + 1))
      return closed
    },
  }
}

/** Resolves when `writable` takes more, or never will. */
export function drained(writable: Writable): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      writable.off('drain', done).off('close', done)
      resolve()
    }
    writable.on('drain', done).on('close', done)
  })
}
