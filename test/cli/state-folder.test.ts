// Where the programs keep their state.

import { join, resolve } from 'node:path'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { stateFolder } from '../../src/cli/state-folder.ts'

afterEach(() => vi.unstubAllEnvs())

describe('state folder', () => {
  it('--state-dir counts, made absolute', () => {
    expect(stateFolder('some/where')).toBe(resolve('some/where'))
  })

  it.runIf(process.platform === 'linux')(
    'without it, it is in the data folder of XDG (only on Linux)',
    () => {
      vi.stubEnv('XDG_DATA_HOME', '/data')
      expect(stateFolder()).toBe(join('/data', 'anytls'))
    },
  )
})
