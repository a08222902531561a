// What `anytls compare` takes for 10,000 connections: time and memory, against the minute and the 500 MiB that it may.
// `npm run bench:compare`, with `-- --connections N` a side and `-- --check`, which fails beyond either. Linux alone.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream, mkdtempSync, rmSync } from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { finished } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import {
  CAPTURE_FORMAT,
  CAPTURE_VERSION,
  encodeCaptureLine,
} from '../src/harness/capture/capture-event.ts'
import type { Comparison } from '../src/harness/compare/compare.ts'
import { seededRandomInt } from '../src/harness/simulate/seeded-random.ts'
import type { Direction } from '../src/harness/simulate/workload.ts'
import type { RandomInt } from '../src/shaping/shaper.ts'
import { peakMemory, processorSeconds } from './go-peer.ts'

const { values } = parseArgs({
  options: {
    connections: { type: 'string', default: '5000' },
    check: { type: 'boolean', default: false },
  },
})
const CONNECTIONS = Number(values.connections)
const [MOST_SECONDS, MOST_MIB] = [60, 500]
/** A capture may have a million records. */
const CONNECTIONS_OF_FILE = 2_500
const ANYTLS = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url))

const folder = mkdtempSync(join(tmpdir(), 'bench-compare-'))
try {
  // Two halves of one source: nothing keeps the trees small.
  const [a, b] = [await writeSide('a', 1), await writeSide('b', 2)]
  const { seconds, processor, mib, auc } = await runCompare(a.files, b.files)
  const each = ((a.records + b.records) / (2 * CONNECTIONS)).toFixed(0)
  process.stdout.write(
    `2 x ${CONNECTIONS} connections of ${each} records in the mean: ${seconds.toFixed(1)} s (${processor.toFixed(1)} s ` +
      `of CPU), ${mib.toFixed(0)} MiB at most; AUC ${auc.toFixed(2)}; load average ${loadavg()[0]?.toFixed(1)}\n`,
  )
  if (values.check && (seconds > MOST_SECONDS || mib > MOST_MIB)) process.exitCode = 1
} finally {
  rmSync(folder, { recursive: true })
}

async function runCompare(a: readonly string[], b: readonly string[]) {
  const began = performance.now()
  const args = [ANYTLS, 'compare', ...a, '--with', ...b, '--json']
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const running = { pid: child.pid! }
  let [mib, processor, text] = [0, 0, '']
  const timer = setInterval(() => {
    // The last moments of it, when there is nothing any more to be read.
    if (child.exitCode !== null) return
    try {
      mib = Math.max(mib, peakMemory(running) || 0)
      processor = processorSeconds(running)
    } catch {
      clearInterval(timer)
    }
  }, 50)
  child.stdout.setEncoding('utf8').on('data', (piece: string) => (text += piece))
  const [code] = (await once(child, 'close')) as [number | null]
  clearInterval(timer)
  if (code !== 0) throw new Error(`anytls compare has ended with ${code}`)
  const { auc } = JSON.parse(text) as Comparison
  return { seconds: (performance.now() - began) / 1_000, processor, mib, auc }
}

/** Captures of connections that are made from a seed, as many as the study's pages have records and as long. */
async function writeSide(name: string, seed: number) {
  const randomInt = seededRandomInt(seed)
  const files: string[] = []
  let records = 0
  for (let from = 0; from < CONNECTIONS; from += CONNECTIONS_OF_FILE) {
    const path = join(folder, `${name}-${files.length}.jsonl`)
    files.push(path)
    const file = createWriteStream(path)
    const head = { format: CAPTURE_FORMAT, version: CAPTURE_VERSION, to: 'localhost:443' } as const
    file.write(encodeCaptureLine({ ...head, started: '2026-01-01T00:00:00Z' }))
    const count = Math.min(CONNECTIONS_OF_FILE, CONNECTIONS - from)
    for (let connection = 1; connection <= count; connection += 1) {
      const passed = recordsOfPage(randomInt)
      records += passed.length
      const lines = passed.map(({ direction, time, bytes }) =>
        encodeCaptureLine({ event: 'record', connection, direction, time, type: 23, bytes }),
      )
      const open = encodeCaptureLine({ event: 'open', connection, time: connection })
      if (!file.write(open + lines.join(''))) await once(file, 'drain')
    }
    file.end()
    await finished(file)
  }
  return { files, records }
}

/** Of one of the four makes that bench/study/sites.ts has. */
function recordsOfPage(randomInt: RandomInt) {
  const [turns, least, most] = [
    [randomInt(15, 50), 300, 20_000],
    [randomInt(4, 7), 150_000, 600_000],
    [randomInt(12, 30), 200, 4_000],
    [3, 500, 8_000],
  ][randomInt(0, 4)] as [number, number, number]
  const records: { direction: Direction; time: number; bytes: number }[] = []
  let time = 0
  const pass = (direction: Direction, bytes: number, after: number) => {
    time += after
    records.push({ direction, time: Math.round(time * 1e3) / 1e3, bytes })
  }
  for (let turn = 0; turn < turns; turn += 1) {
    pass('up', randomInt(60, 180), randomInt(1_000, 50_000) / 1_000)
    for (let rest = randomInt(least, most); rest > 0; rest -= 8_192) {
      pass('down', 31 + Math.min(rest, 8_192), randomInt(10, 3_000) / 1_000)
    }
  }
  return records
}
