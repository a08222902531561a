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

type Row<State extends string, Input extends string> = Readonly<
  Record<Input, State | typeof ILLEGAL>
>
export type Table<State extends string, Input extends string> = Readonly<
  Record<State, Row<State, Input>>
>

/** The states of a table, the first one first. */
export function statesOf<State extends string>(table: Readonly<Record<State, unknown>>): State[] {
  return Object.keys(table) as State[]
}

/** Where inputs lead; the others are illegal. */
type Moves<State extends string, Input extends string> = Partial<Row<State, Input>>

/** Inputs that leave the state as it is. */
export function stay<State extends string, Input extends string>(
  state: State,
  inputs: readonly Input[],
): Moves<State, Input> {
  return Object.fromEntries(inputs.map((input) => [input, state])) as Moves<State, Input>
}

/** What ends a connection on every wire, from any state in which it is ours. */
const ENDINGS = { 'local-abort': 'closed', 'end-of-input': 'closed' } as const

/** What a wire adds to the table that all wires have in common. */
interface TableSetup<Own extends string, State extends string, Input extends string> {
  /** States of this wire alone, the first one first, with their moves beside an abort and the end of input. */
  readonly own: Readonly<Record<Own, Moves<State, Input>>>
  /** Frames that an open connection takes. */
  readonly frames: readonly Input[]
  /** Other moves that an open and a draining connection have. */
  readonly running: Moves<State, Input>
  /** Moves of an open connection alone. */
  readonly open?: Moves<State, Input>
  /** Moves of a draining connection alone. */
  readonly draining?: Moves<State, Input>
}

/**
 * The table of one role: the states of its own, then `open`, `draining` and those that nothing leads out of.
 *
 * @param over `closed`, and for a server that may hand over `handed-over`
 */
export function makeTable<Own extends string, Over extends string, Input extends string>(
  inputs: readonly Input[],
  over: readonly Over[],
  setup: TableSetup<Own, NoInfer<Own | 'open' | 'draining' | Over>, NoInfer<Input>>,
): Table<Own | 'open' | 'draining' | Over, Input> {
  const { frames, running, open, draining } = setup
  const own: Readonly<Record<string, Moves<string, string>>> = setup.own
  const makeRow = (otherwise: string, ...moves: (Moves<string, string> | undefined)[]) =>
    Object.assign(stay(otherwise, inputs), ...moves) as Row<string, Input>
  const rows = [
    ...Object.entries(own).map(([state, moves]) => [state, makeRow(ILLEGAL, ENDINGS, moves)]),
    [
      'open',
      makeRow(ILLEGAL, ENDINGS, stay('open', frames), { 'local-close': 'draining' }, running, open),
    ],
    [
      'draining',
      makeRow(
        ILLEGAL,
        ENDINGS,
        stay('draining', [...frames, 'local-close']),
        { drained: 'closed' },
        running,
        draining,
      ),
    ],
    ...over.map((state) => [state, makeRow(state)]),
  ]
  return Object.fromEntries(rows) as Table<Own | 'open' | 'draining' | Over, Input>
}
