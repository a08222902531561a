// Faults for the rows of the chapter Streams.
import type { Mutant } from './mutant.ts'

export const STREAMS: readonly Mutant[] = []
