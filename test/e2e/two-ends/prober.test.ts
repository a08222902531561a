// A prober that asks our server and an nginx the same (test/e2e/two-ends/probes.ts), and prints both answers. Where they
// differ the threat model has to say so, word for word: a new difference fails, and so does one that is gone.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { curl } from '../../proxy/support.ts'
import { nginxProgram } from '../nginx.ts'
import { curlProgram } from '../support.ts'
import { startNeighbours } from './neighbours.ts'
import type { Neighbours } from './neighbours.ts'
import { PROBES, clean, silence } from './probes.ts'

const missing = nginxProgram.isMissing || curlProgram.isMissing

const THREAT_MODEL = join(import.meta.dirname, '../../../spec-notes/threat-model.md')

/** Probes that are asked at the same time: more would be late on a busy machine. */
const AT_ONCE = 8

describe.skipIf(missing)(
  `D53, D54: a prober between ours and nginx${nginxProgram.note}${curlProgram.note}`,
  { timeout: 120_000 },
  () => {
    let neighbours: Neighbours
    beforeAll(async () => {
      neighbours = await startNeighbours()
    }, 60_000)

    it('what it can tell them by is what the threat model lists', async () => {
      const differences: Record<string, { nginx: string; ours: string }> = {}
      const probes = [...PROBES]
      const askNext = async (): Promise<void> => {
        for (let next = probes.shift(); next !== undefined; next = probes.shift()) {
          const [name, { of, ask }] = next
          const ports = neighbours[of]
          const [nginx, ours] = [await ask(ports.nginx), await ask(ports.ours)]
          process.stdout.write(`${name}: nginx ${shown(nginx)}, ours ${shown(ours)}\n`)
          if (nginx !== ours) differences[name] = { nginx: brief(nginx), ours: brief(ours) }
        }
      }
      await Promise.all(Array.from({ length: AT_ONCE }, askNext))
      expect(differences).toEqual(listed())
    })

    // The clock of it is test/fallback/fallback-relay.test.ts, by a fake one.
    it.skipIf(process.env.ANYTLS_LONG !== 'true')(
      'D54: silence ends after 60 s, before and after the handshake (only with ANYTLS_LONG=true: npm run test:two-ends)',
      async () => {
        const { nginx, ours } = neighbours.site
        const measure = async (protocol: string | undefined) => {
          const [theirs = 0, own = 0] = await Promise.all(
            [nginx, ours].map((port) => silence(port, protocol)),
          )
          process.stdout.write(
            `silence (${protocol ?? 'no TLS'}), ms: nginx ${theirs}, ours ${own}\n`,
          )
          expect.soft(Math.abs(own - theirs), protocol).toBeLessThan(2_000)
        }
        await Promise.all([undefined, 'http/1.1', 'h2'].map(measure))
      },
      90_000,
    )

    // Sooner than that: test/e2e/fallback.test.ts.
    it.skipIf(process.env.ANYTLS_LONG !== 'true' || process.platform !== 'linux')(
      'D54: a site that lets nobody connect is a 504 after 60 s (only with ANYTLS_LONG=true on Linux: npm run test:two-ends)',
      async () => {
        const { nginx, ours } = neighbours.deaf
        const ask = async (port: number, version: string) => {
          const began = performance.now()
          const { stdout } = await curl('-ksi', '-m', '80', version, `https://127.0.0.1:${port}/`)
          return { answer: clean(String(stdout)), seconds: (performance.now() - began) / 1_000 }
        }
        const compare = async (version: string) => {
          const [theirs, own] = await Promise.all([ask(nginx, version), ask(ours, version)])
          expect.soft(own.answer, version).toMatch(/^HTTP\S+ 504/)
          expect.soft(own.answer, version).toBe(theirs.answer)
          expect.soft(Math.abs(own.seconds - theirs.seconds), version).toBeLessThan(2)
        }
        await Promise.all(['--http1.1', '--http2'].map(compare))
      },
      90_000,
    )
  },
)

/** The table of the threat model, by probe. */
function listed(): Record<string, { nginx: string; ours: string }> {
  const [, section = ''] = readFileSync(THREAT_MODEL, 'utf8').split('### Beside nginx')
  const [table = ''] = section.split('\n## ')
  const rows = [...table.matchAll(/^\| `([^`]+)` *\| `([^`]+)` *\| `([^`]+)` *\|/gm)]
  return Object.fromEntries(
    rows.map(([, name = '', nginx = '', ours = '']) => [name, { nginx, ours }]),
  )
}

/** Whole answers are compared, and told of by their status. */
function brief(answer: string): string {
  return answer.replace(/^HTTP\/\S+ (\d{3}) [^]*, (\w+)$/, '$1, $2')
}

function shown(answer: string): string {
  return JSON.stringify(answer.slice(0, 120))
}
