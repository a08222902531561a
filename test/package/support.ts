// The package as its users have it: built, packed, and installed into a folder of its own, without a network.
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { ensureBuilt } from '../../scripts/build.mjs'

const run = promisify(execFile)
const ROOT = join(import.meta.dirname, '../..')

export interface InstalledPackage {
  /** The folder of a program that uses it. */
  readonly folder: string
  readonly tarball: string
}

/** Packs what npm would publish, and installs it with what it depends on. */
export async function installPackage(folder: string): Promise<InstalledPackage> {
  await ensureBuilt({ types: true })
  const [ours, hashes] = [await pack(ROOT, folder), await pack(HASHES, folder)]
  await npm(folder, 'init', '--yes')
  await npm(folder, 'install', '--offline', '--ignore-scripts', '--no-save', ours, hashes)
  return { folder, tarball: join(folder, ours) }
}

const HASHES = join(ROOT, 'node_modules/@noble/hashes')

/** Returns the name of the file in `folder`. */
async function pack(source: string, folder: string): Promise<string> {
  const stdout = await npm(folder, 'pack', '--ignore-scripts', '--json', source)
  const [{ filename }] = JSON.parse(stdout) as [{ filename: string }]
  return filename
}

async function npm(folder: string, ...args: readonly string[]): Promise<string> {
  const quiet = ['--no-audit', '--no-fund', '--no-update-notifier']
  const { stdout } = await run('npm', [...args, ...quiet], { cwd: folder })
  return stdout
}
