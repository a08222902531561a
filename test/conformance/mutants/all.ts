// A fault for each row of the conformance matrix, which a test that the row names finds: `npm run prove` plants one after
// the other.
import { FRAMES } from './frames.ts'
import { KV_BLOCKS } from './kv-blocks.ts'
import type { Mutant } from './mutant.ts'
import { SHAPING } from './shaping.ts'
import { CONNECTIONS } from './connections.ts'
import { STREAMS } from './streams.ts'
import { TEXT_BLOCKS } from './text-blocks.ts'
import { VARINTS } from './varints.ts'

export const MUTANTS: readonly Mutant[] = [
  ...CONNECTIONS,
  ...STREAMS,
  ...FRAMES,
  ...SHAPING,
  ...KV_BLOCKS,
  ...TEXT_BLOCKS,
  ...VARINTS,
]
