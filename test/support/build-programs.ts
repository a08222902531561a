// Builds the programs once before the tests that run them: a program from its sources takes ten times as long to start.
import { ensureBuilt } from '../../scripts/build.mjs'

export default async function setup(): Promise<void> {
  await ensureBuilt({ types: false })
}
