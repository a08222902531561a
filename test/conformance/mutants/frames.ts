// Faults for the rows of the chapter Frames.
import type { Mutant } from './mutant.ts'

export const FRAMES: readonly Mutant[] = []
