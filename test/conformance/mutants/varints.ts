// Faults for the rows of the chapter Appendix C.
import type { Mutant } from './mutant.ts'

export const VARINTS: readonly Mutant[] = []
