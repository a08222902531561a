// Runs the examples as their README says, on free ports, on every wire.

import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build } from 'esbuild'
import { afterAll, beforeAll, onTestFinished } from 'vitest'
import { runScript, stop } from '../cli/run-program.ts'
import type { Program } from '../cli/run-program.ts'
import { makeTestCertificate } from '../support/certificate.ts'

export const WIRES = ['netmux', 'muxpro', 'v1', 'legacy'] as const
export type Wire = (typeof WIRES)[number]

const EXAMPLES = join(import.meta.dirname, '../../examples')

export const PASSWORD = { ANYTLS_PASSWORD: 'correct horse' }

const folder = mkdtempSync(join(tmpdir(), 'examples-'))
const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]

beforeAll(async () => {
  const certificate = await makeTestCertificate()
  writeFileSync(key, certificate.key)
  writeFileSync(cert, certificate.cert)
  // Each starts a tenth of a second after it is asked to; from the sources it would be two.
  await build({
    entryPoints: readdirSync(EXAMPLES)
      .filter((name) => name.endsWith('.ts'))
      .map((name) => join(EXAMPLES, name)),
    ...{ outdir: folder, outExtension: { '.js': '.mjs' } },
    ...{ bundle: true, splitting: true, format: 'esm', platform: 'node' },
    // What `ws` loads of Node it asks `require` for.
    banner: {
      js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url)",
    },
  })
})

afterAll(() => rmSync(folder, { recursive: true }))

/** The options that a server wants on `wire`. */
export function serverFlags(wire: Wire): string[] {
  return ['--wire', wire, ...(isSecure(wire) ? certificateFlags : [])]
}

/** Where the certificate of the servers is, and its key. */
export const certificateFlags = ['--key', key, '--cert', cert]

/** The options that its client wants. */
export function clientFlags(wire: Wire): string[] {
  return ['--wire', wire, ...(isSecure(wire) ? ['--ca', cert] : [])]
}

function isSecure(wire: Wire): boolean {
  return wire === 'v1' || wire === 'legacy'
}

/** The built form of `examples/NAME.ts`. */
export function builtExample(name: string): string {
  return join(folder, `${name}.mjs`)
}

export function runExample(
  name: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = PASSWORD,
): Program {
  const program = runScript(builtExample(name), args, env)
  onTestFinished(() => stop(program))
  return program
}

/** Where a program listens: the port that it names after `what`. */
export async function portOf(program: Program, what: string): Promise<number> {
  const [, port] = await program.said(new RegExp(`${what}: listening on 127\\.0\\.0\\.1:(\\d+)`))
  return Number(port)
}
