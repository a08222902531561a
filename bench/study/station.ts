// Where an onlooker stands: a relay that writes down records, on the line of one way, and what is made of its notes.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { CAPTURE_FORMAT, CAPTURE_VERSION } from '../../src/harness/capture/capture-event.ts'
import { createCaptureFile } from '../../src/harness/capture/capture-file.ts'
import { parseCapture } from '../../src/harness/capture/capture-parser.ts'
import type { ParsedCapture } from '../../src/harness/capture/capture-parser.ts'
import { startCapture } from '../../test/support/capture.ts'
import { compare, LEAST_CONNECTIONS, observe } from '../../src/harness/compare/compare.ts'
import type { Comparison } from '../../src/harness/compare/compare.ts'
import { sourceFromCapture } from '../../src/harness/report/from-capture.ts'
import type { Run } from '../../src/harness/report/source.ts'
import { startDelay } from './delay.ts'
import type { Way } from './ways.ts'

export interface Station {
  readonly way: Way
  /** Where the onlooker's relay listens. */
  readonly port: number
  close(): Promise<Notes>
}

/** What an onlooker has seen of a way. */
export interface Notes {
  readonly capture: ParsedCapture
  /** Connections without the records of the outer TLS itself. */
  readonly runs: readonly Run[]
}

/** @param file the name of the capture that is written into `out` */
export async function openStation(
  way: Way,
  { delay, out, file: name }: { delay: number; out: string; file: string },
): Promise<Station> {
  const path = join(out, name)
  const file = createCaptureFile(path, {
    format: CAPTURE_FORMAT,
    version: CAPTURE_VERSION,
    to: `localhost:${way.target}`,
    started: new Date().toISOString(),
  })
  const line = await startDelay(way.target, delay)
  const relay = await startCapture({
    listen: { host: '127.0.0.1', port: 0 },
    to: { host: '127.0.0.1', port: line.port },
    sink: file,
  })
  return {
    way,
    port: relay.port,
    async close() {
      await relay.stop(2_000)
      line.stop()
      await file.close()
      const capture = parseCapture(readFileSync(path, 'utf8'))
      const { runs } = sourceFromCapture(path, capture, { up: 1, down: way.tickets })
      return { capture, runs }
    },
  }
}

/** `undefined` where there are too few connections to say anything. */
export function compareRuns(
  a: readonly Run[],
  b: readonly Run[],
  seed: number,
): Comparison | undefined {
  const [ofA, ofB] = [a, b].map((runs) => runs.flatMap((run) => observe(run) ?? []))
  const few = Math.min(ofA?.length ?? 0, ofB?.length ?? 0) < LEAST_CONNECTIONS
  return few ? undefined : compare(ofA ?? [], ofB ?? [], { seed })
}

/** Does `tasks` in their order, as many as `beside` at once, and none any more after the time `until`. */
export async function doAll(
  tasks: readonly (() => Promise<void>)[],
  { beside, until }: { beside: number; until: number },
): Promise<void> {
  let next = 0
  const work = async () => {
    for (;;) {
      const task = performance.now() < until ? tasks[next++] : undefined
      if (task === undefined) return
      await task()
    }
  }
  await Promise.all(Array.from({ length: beside }, work))
}
