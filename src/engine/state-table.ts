// State tables: every state of a connection against every input. The machines move by their table alone,
// and the diagrams in spec-notes are drawn from them.
// Must never hold a state or a frame of one wire.

/** What happens on every wire beside its frames: calls of the application, the clock, the end of input. */
export const COMMON_INPUTS = [
  'local-close',
  'local-abort',
  'drained',
  'idle-timeout',
  'ping-timeout',
  'end-of-input',
  'violation',
] as const
export type CommonInput = (typeof COMMON_INPUTS)[number]

/** The input is not legal in that state. From the peer it is a violation; from us it is a no-op. */
export const ILLEGAL = 'illegal'

export type Row<State extends string, Input extends string> = Readonly<
  Record<Input, State | typeof ILLEGAL>
>
export type Table<State extends string, Input extends string> = Readonly<
  Record<State, Row<State, Input>>
>

/** A row in which every input does the same, but for `moves`. */
export function makeRow<State extends string, Input extends string>(
  inputs: readonly Input[],
  otherwise: State | typeof ILLEGAL,
  moves: Partial<Record<Input, State | typeof ILLEGAL>>,
): Row<State, Input> {
  const all = Object.fromEntries(inputs.map((input) => [input, otherwise]))
  return { ...(all as Record<Input, State | typeof ILLEGAL>), ...moves }
}

/** Inputs that leave the state as it is. */
export function stay<State extends string, Input extends string>(
  state: State,
  inputs: readonly Input[],
): Partial<Record<Input, State>> {
  return Object.fromEntries(inputs.map((input) => [input, state])) as Partial<Record<Input, State>>
}
