// Toolchains that are there but cannot build: what needs them is skipped and says why, and fails with CI=true.
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest'

afterEach(() => {
  vi.unstubAllEnvs()
  vi.resetModules()
})

/** Puts a folder in front of the PATH in which `cargo` and `go` are this text. */
function stubFolder(program: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'stubs-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  for (const name of ['cargo', 'go']) {
    writeFileSync(join(folder, name), program)
    chmodSync(join(folder, name), 0o755)
  }
  return `${folder}:${process.env.PATH ?? ''}`
}

const STUBS: readonly [what: string, program: string, reason: RegExp][] = [
  [
    'a stub of rustup without a toolchain',
    "#!/bin/sh\necho 'error: rustup could not choose a version of cargo to run' >&2\nexit 1\n",
    /could not choose a version/,
  ],
  [
    'one that has no network',
    "#!/bin/sh\necho 'dial tcp: lookup proxy.golang.org: no such host' >&2\nexit 1\n",
    /no such host/,
  ],
  ['one that fails without a word', '#!/bin/sh\nexit 3\n', /cannot build/],
  ['one that dies', '#!/bin/sh\nkill -9 $$\n', /cannot build/],
]

const builds = {
  cargo: async () => (await import('./support/cargo-build.ts')).netmuxPeer,
  go: async () => (await import('./support/go-build.ts')).goProgram,
}

describe.for(STUBS)('%s', ([, program, reason]) => {
  it.for(['cargo', 'go'] as const)(
    'as %s is a reason to skip, and an error in CI',
    async (name) => {
      vi.stubEnv('PATH', stubFolder(program))
      vi.stubEnv('CI', undefined)
      const { isMissing, note } = await builds[name]()
      expect(isMissing).toBe(true)
      expect(note).toMatch(new RegExp(`^ \\(skipped: ${name} cannot build: [^\n]*\\)$`))
      expect(note).toMatch(reason)
      vi.resetModules()
      vi.stubEnv('CI', 'true')
      await expect(builds[name]()).rejects.toThrow(`${name} cannot build, and CI needs it`)
    },
  )
})

it('a run says what it left out, and is green; with CI=true it is not', { timeout: 60_000 }, () => {
  const PATH = stubFolder(STUBS[0]![1])
  const root = join(import.meta.dirname, '../..')
  const vitest = join(root, 'node_modules/vitest/vitest.mjs')
  const run = (CI: string) =>
    spawnSync(process.execPath, [vitest, 'run', 'test/interop/netmux.test.ts'], {
      cwd: root,
      env: { ...process.env, PATH, CI, NO_COLOR: '1', VITEST: undefined },
      encoding: 'utf8',
      timeout: 50_000,
    })
  const local = run('')
  expect(local.stdout).toMatch(
    /^left out: \d+ \(cargo cannot build: error: rustup could not choose/m,
  )
  expect(local.stdout.trim()).toMatch(/, 0 failed, [1-9]\d* skipped[^\n]*$/)
  expect(local.status).toBe(0)
  expect(run('true').status).toBe(1)
})
