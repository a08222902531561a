// State tables: every state of a connection against every input. The machines move by their table alone,
// and the diagrams in spec-notes are drawn from them.

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

// What a state of each name means is the same on every wire. `draining`, and `draining-early` before both ends have
// agreed: no new streams, those that stand run to their end. `going-away`: the peer has been told so and may have opened
// some before it heard of it. `handed-over`: another owner has the connection.

/** The input is not legal in that state. From the peer it is a violation; from us it is a no-op. */
export const ILLEGAL = 'illegal'

export type Row<State extends string, Input extends string> = Readonly<
  Record<Input, State | typeof ILLEGAL>
>
export type Table<State extends string, Input extends string> = Readonly<
  Record<State, Row<State, Input>>
>

/** A row in which every input does the same, but for `moves`. */
function makeRow<State extends string, Input extends string>(
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

/** What ends a connection on every wire, from any state in which it is ours. */
const ENDINGS = { 'local-abort': 'closed', 'end-of-input': 'closed' } as const

/** Moves that a row has beside those of {@link makeTable}. */
type Moves<State extends string, Input extends string> = Partial<
  Record<Input, State | typeof ILLEGAL>
>

/** What a wire adds to the table that all wires have in common. */
export interface TableSetup<State extends string, Input extends string> {
  readonly inputs: readonly Input[]
  /** Frames that an open connection takes. */
  readonly frames: readonly Input[]
  /** Other moves that an open and a draining connection have. */
  readonly running: Moves<State, Input>
  /** Moves of an open connection alone. */
  readonly open?: Moves<State, Input>
  /** Moves of a draining connection alone. */
  readonly draining?: Moves<State, Input>
  /** The states before `open`, each with its moves beside an abort and the end of input. */
  readonly before: Readonly<
    Record<Exclude<State, 'open' | 'draining' | 'closed' | 'handed-over'>, Moves<State, Input>>
  >
}

/**
 * The table of one role: the states before, then `open`, `draining` and `closed`, and for a server that may hand
 * over `handed-over`. What no row names is illegal.
 */
export function makeTable<State extends string, Input extends string>(
  states: readonly State[],
  { inputs, frames, running, open, draining, before }: TableSetup<State, Input | CommonInput>,
): Table<State, Input | CommonInput> {
  type All = Input | CommonInput
  const makeState = (state: string): Row<string, All> => {
    switch (state) {
      case 'closed':
      case 'handed-over':
        return makeRow<string, All>(inputs, state, {})
      case 'open':
        return makeRow<string, All>(inputs, ILLEGAL, {
          ...(ENDINGS as Moves<string, All>),
          ...stay<string, All>('open', frames),
          ...({ 'local-close': 'draining' } as Moves<string, All>),
          ...running,
          ...open,
        })
      case 'draining':
        return makeRow<string, All>(inputs, ILLEGAL, {
          ...(ENDINGS as Moves<string, All>),
          ...stay<string, All>('draining', [...frames, 'local-close']),
          ...({ drained: 'closed' } as Moves<string, All>),
          ...running,
          ...draining,
        })
      default:
        return makeRow<string, All>(inputs, ILLEGAL, {
          ...(ENDINGS as Moves<string, All>),
          ...(before as Readonly<Record<string, Moves<State, All>>>)[state],
        })
    }
  }
  const rows = Object.fromEntries(states.map((state) => [state, makeState(state)]))
  return rows as Table<State, All>
}
