// deploy/haproxy.cfg as it is used: three servers that are restarted one after the other, and one that is killed, under
// load. The long form is `npm run bench:failover`.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { requireProgram } from '../support/programs.ts'
import { Fleet, Load } from './fleet.ts'

const haproxy = requireProgram('haproxy')

describe.skipIf(haproxy.isMissing)(
  `Issue 13.5: behind HAProxy${haproxy.note}`,
  { timeout: 60_000 },
  () => {
    const folder = mkdtempSync(join(tmpdir(), 'fleet-'))
    const fleet = new Fleet()

    beforeAll(async () => {
      await fleet.start(haproxy.path, folder, 3)
      await fleet.allUp()
    }, 60_000)

    afterAll(async () => {
      await fleet.close()
      rmSync(folder, { recursive: true })
    })

    it('a rolling restart of three servers fails no request, though programs speak before a server has', async () => {
      const load = new Load(fleet, 9)
      for (const server of fleet.servers) {
        await server.restart()
        await fleet.allUp()
      }
      await load.stop()
      expect(load.failures).toEqual([])
      expect(load.answered).toBeGreaterThan(50)
    })

    it('one that is killed -9 is got over within 1.5 s', async () => {
      const load = new Load(fleet, 9)
      const recoveries: number[] = []
      for (const server of fleet.servers.slice(0, 2)) {
        const killed = performance.now()
        await server.kill()
        recoveries.push(...(await load.recoveries(killed + 1)))
        await server.start()
        await fleet.allUp()
      }
      await load.stop()
      expect(Math.max(...recoveries)).toBeLessThan(1_500)
    })
  },
)
