// Turns the bytes that connections exchange into the events of a capture, as many as it may have.

import { performance } from 'node:perf_hooks'
import { MAX_CAPTURE_CONNECTIONS, roundTime } from './capture-event.ts'
import type { Direction } from '../simulate/workload.ts'
import type { CaptureEvent, CloseReason, LimitEvent } from './capture-event.ts'
import { RecordReader } from './record-reader.ts'

/** Where the events of a capture go, in order. */
export interface CaptureSink {
  /**
   * May return a promise that never rejects: the connection that the event is about is not read until it
   * resolves. All that a sink cannot take must show elsewhere.
   */
  write(event: CaptureEvent): Promise<void> | undefined
}

/** Told of the next bytes of a direction. What it returns is to be waited for before reading on. */
export type Tap = (bytes: Uint8Array) => Promise<unknown> | undefined

/** Records one connection. */
interface ConnectionRecorder {
  tap(direction: Direction): Tap
  /** @param up bytes that came from the client; `down` from the server */
  close(reason: CloseReason, up: number, down: number): void
}

/** Records a capture. Once a bound is reached it says so, and takes no notice of anything any more. */
export class Recorder {
  readonly #sink: CaptureSink
  readonly #maxRecords: number
  readonly #began = performance.now()
  #records = 0
  #connections = 0
  #full = false

  /** @param maxRecords a whole number of at least 1 */
  constructor(sink: CaptureSink, maxRecords: number) {
    this.#sink = sink
    this.#maxRecords = maxRecords
  }

  /** A connection begins, now. */
  open(): ConnectionRecorder {
    if (this.#connections >= MAX_CAPTURE_CONNECTIONS) this.#stop('connections')
    const connection = (this.#connections += 1)
    const began = performance.now()
    void this.#write({ event: 'open', connection, time: since(this.#began) })
    return {
      tap: (direction) => this.#tap(connection, direction, began),
      close: (reason, up, down) => {
        void this.#write({ event: 'close', connection, time: since(began), reason, up, down })
      },
    }
  }

  #tap(connection: number, direction: Direction, began: number): Tap {
    const reader = new RecordReader()
    return (bytes) => {
      if (this.#full || reader.lostAt !== undefined) return undefined
      const records = reader.push(bytes)
      const time = since(began)
      let held: Promise<unknown> | undefined
      for (const { type, bytes } of records) {
        if (this.#records >= this.#maxRecords) this.#stop('records')
        this.#records += 1
        held = this.#write({ event: 'record', connection, direction, time, type, bytes }) ?? held
      }
      // The getter again: the bytes just read decide.
      const offset = reader.lostAt as number | undefined
      if (offset === undefined) return held
      return this.#write({ event: 'not-tls', connection, direction, time, offset }) ?? held
    }
  }

  #stop(of: LimitEvent['of']): void {
    void this.#write({ event: 'limit', time: since(this.#began), of })
    this.#full = true
  }

  #write(event: CaptureEvent): Promise<void> | undefined {
    return this.#full ? undefined : this.#sink.write(event)
  }
}

function since(began: number): number {
  return roundTime(performance.now() - began)
}
