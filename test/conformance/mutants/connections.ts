// Faults for the rows of the chapter Connections, and of the overview.
import type { Mutant } from './mutant.ts'

export const CONNECTIONS: readonly Mutant[] = []
