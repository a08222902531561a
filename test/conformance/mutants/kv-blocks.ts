// Faults for the rows of the chapter Appendix A.
import type { Mutant } from './mutant.ts'

export const KV_BLOCKS: readonly Mutant[] = []
