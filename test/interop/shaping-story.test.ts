// A scheme on its way: written, checked, simulated, used by the original and by us, captured, and shown in one
// page. What the original leaves open is measured in its capture, and held against ours.

import { readFileSync, writeFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeAll, describe, expect, it } from 'vitest'
import { parseCapture } from '../../src/harness/capture/capture-parser.ts'
import { sourceFromCapture } from '../../src/harness/report/from-capture.ts'
import { sizesOf } from '../../src/harness/report/source.ts'
import type { ReportSource } from '../../src/harness/report/source.ts'
import { stop } from '../cli/run-program.ts'
import { folder, run, startClient, startServer } from '../e2e/support.ts'
import { readExactly } from '../proxy/support.ts'
import { goProgram } from './support/go-build.ts'
import { certificateFiles, startGoClient } from './support/go-program.ts'
import { openTunnel, startTcpOrigin } from './support/traffic.ts'
import type { Proxy } from './support/traffic.ts'

/** Covers the first two Deliver of a connection, and counts on long after that. */
const SCHEME = 'stop=400\n0=30-30\n1=200-400\n2=500-700\n'
/** The same, and the first two of every later stream. */
const RESTARTING = `${SCHEME}restart=1\n`
const DOWNLINK =
  'stop=400\n0=30-30\n1=300-301\n' + entries(2, 60, '300-900,c,300-900,c,300-900,c,300-900')

const STREAMS = 4
/** What is sent on each stream, and comes back; the last ones are small, but not tiny. */
const MESSAGES = [300, 900, 120, 110]

/** No data frame of these messages is as small. */
const TINY = 60

function entries(from: number, to: number, items: string): string {
  const lines = Array.from({ length: to - from }, (_, index) => `${from + index}=${items}\n`)
  return lines.join('')
}

describe.skipIf(goProgram.isMissing)(
  `A scheme, by the original and by us${goProgram.note}`,
  { timeout: 60_000 },
  () => {
    const file = (name: string) => join(folder, name)
    let original: ReportSource
    let ours: ReportSource

    beforeAll(async () => {
      writeFileSync(file('scheme.txt'), SCHEME)
      writeFileSync(file('restarting.txt'), RESTARTING)
      writeFileSync(file('downlink.txt'), DOWNLINK)
      const { key, cert } = await certificateFiles()
      const certificate = ['--key', key, '--cert', cert]

      const plain = await startServer([...certificate, '--padding-scheme', file('scheme.txt')])
      original = await capture(plain.port, file('original.jsonl'), async (port, echo) => {
        const client = await startGoClient(port)
        // One stream a connection: while this one is there, all others share a second, which has the scheme.
        await exchange(await openTunnel(client, echo), 100)
        return client
      })
      const shaping = await startServer([
        ...certificate,
        ...['--padding-scheme', file('restarting.txt'), '--shape-downlink', file('downlink.txt')],
      ])
      const link = (port: number) => shaping.link.replace(`:${shaping.port}/`, `:${port}/`)
      ours = await capture(shaping.port, file('ours.jsonl'), async (port, echo) => {
        const first = await startClient(link(port), ['--wire', 'v1'])
        await talk(first, echo)
        await stop(first.program)
        return startClient(link(port), ['--wire', 'v1'])
      })
    }, 60_000)

    it('control frames: the original sends them bare while it shapes, we never do', () => {
      expect(tiny(sizesOf(original, 'up')).length).toBeGreaterThanOrEqual(STREAMS)
      expect(tiny(sizesOf(ours, 'up'))).toEqual([])
    })

    it('later streams: the original covers the first one alone, we each of them', () => {
      const covered = (size: number) => size >= 200 && size < 700
      // Of the original each stream but the first begins with SYN and the target, as small as they are.
      const bare = sizesOf(original, 'up').filter((size) => size < 200)
      expect(bare.length).toBeGreaterThanOrEqual(2 * (STREAMS - 1))
      // Of ours, every stream begins with OPEN and the target in the ranges of the scheme.
      const begins = sizesOf(ours, 'up').filter(covered)
      expect(begins.length).toBeGreaterThanOrEqual(2 * STREAMS)
      expect(sizesOf(ours, 'up').filter((size) => size < 100)).toEqual([])
    })

    it('the direction of the server: the original leaves it as it is, ours has a scheme of its own', () => {
      expect(tiny(sizesOf(original, 'down')).length).toBeGreaterThan(0)
      // NEGO, which is Deliver 0 and never shaped, is the first.
      for (const { down } of ours.runs) {
        const shaped = down.sizes.slice(1)
        // STREAM_ACK
        expect(shaped[0]).toBe(300)
        expect(shaped.every((size) => size >= 300 && size < 1_000)).toBe(true)
      }
    })

    it('main job: a scheme is checked, simulated, and shown beside what was captured in one page', async () => {
      const checked = run(['scheme', 'check', file('restarting.txt')])
      expect((await checked.ended).code, checked.stderr()).toBe(0)
      const simulated = run(['scheme', 'simulate', file('restarting.txt'), '--json'])
      expect((await simulated.ended).code, simulated.stderr()).toBe(0)
      writeFileSync(file('simulation.json'), simulated.stdout())
      const reported = run([
        'report',
        ...['original.jsonl', 'ours.jsonl', 'simulation.json'].map(file),
        ...['--scheme', file('restarting.txt'), '--downlink-scheme', file('downlink.txt')],
        ...['--out', file('report.html')],
      ])
      expect((await reported.ended).code, reported.stderr()).toBe(0)
      const page = readFileSync(file('report.html'), 'utf8')
      for (const name of ['original.jsonl', 'ours.jsonl', 'simulation.json']) {
        expect(page).toContain(name)
      }
      expect(page.match(/<svg/g)?.length).toBeGreaterThanOrEqual(4)
      expect(page).toMatch(/Kolmogorov/)
      expect(page).not.toMatch(/(?:src|href)="https?:/)
    })
  },
)

function tiny(sizes: readonly number[]): number[] {
  return sizes.filter((size) => size < TINY)
}

/**
 * Captures what a client sends and gets, one stream after the other.
 *
 * @param start a client that knows the scheme, and will make a connection of its own for the streams
 */
async function capture(
  port: number,
  path: string,
  start: (port: number, echo: number) => Promise<Proxy>,
): Promise<ReportSource> {
  const to = ['--listen', '127.0.0.1:0', '--to', `127.0.0.1:${port}`]
  const relay = run(['capture', ...to, '--out', path])
  const [, bound = ''] = await relay.said(/listening on 127\.0\.0\.1:(\d+)/)
  const echo = await startTcpOrigin((socket) => socket.pipe(socket))
  const proxy = await start(Number(bound), echo.port)
  for (let count = 0; count < STREAMS; count += 1) await talk(proxy, echo.port)
  relay.child.kill('SIGTERM')
  expect((await relay.ended).code, relay.stderr()).toBe(0)
  const source = sourceFromCapture(path, parseCapture(readFileSync(path, 'utf8')))
  expect(source.runs).toHaveLength(2)
  return { ...source, runs: source.runs.slice(1) }
}

/** One stream, with all messages, to its end. */
async function talk(proxy: Proxy, echo: number): Promise<void> {
  const tunnel = await openTunnel(proxy, echo)
  for (const bytes of MESSAGES) await exchange(tunnel, bytes)
  tunnel.resetAndDestroy()
  // What it leaves behind must have left before the next one begins.
  await sleep(100)
}

async function exchange(tunnel: Socket, bytes: number): Promise<void> {
  tunnel.write(Buffer.alloc(bytes, 'x'))
  await readExactly(tunnel, bytes)
}
