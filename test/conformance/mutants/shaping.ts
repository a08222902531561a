// Faults for the rows of the chapter AnyTLS Legacy Traffic Shaping Scheme.
import type { Mutant } from './mutant.ts'

export const SHAPING: readonly Mutant[] = []
