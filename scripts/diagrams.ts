// Draws spec-notes/state-machines.md from the state tables: `npm run diagrams`.
import { writeFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { format, resolveConfig } from 'prettier'
import * as anytls from '../src/wires/anytls/state-tables.ts'
import * as legacy from '../src/wires/legacy/state-tables.ts'
import * as muxpro from '../src/wires/muxpro/state-tables.ts'
import { ILLEGAL, statesOf } from '../src/engine/state-table.ts'
import type { Table } from '../src/engine/state-table.ts'
import * as netmux from '../src/wires/netmux/state-table.ts'

/** Where the file stands. */
export const STATE_MACHINES_FILE = new URL('../spec-notes/state-machines.md', import.meta.url)

/** The whole file, as it must be committed. */
export async function renderStateMachines(): Promise<string> {
  const text = [
    INTRODUCTION,
    section('Server connection state machine', SERVER_INTRODUCTION, {
      ...anytls,
      table: anytls.SERVER_TABLE,
    }),
    section('Client connection state machine', CLIENT_INTRODUCTION, {
      ...anytls,
      table: anytls.CLIENT_TABLE,
    }),
    section('The original wire: server', LEGACY_SERVER_INTRODUCTION, {
      ...legacy,
      table: legacy.SERVER_TABLE,
    }),
    section('The original wire: client', LEGACY_CLIENT_INTRODUCTION, {
      ...legacy,
      table: legacy.CLIENT_TABLE,
    }),
    section('Mux.Pro: server', MUXPRO_SERVER_INTRODUCTION, {
      ...muxpro,
      table: muxpro.SERVER_TABLE,
    }),
    section('Mux.Pro: client', MUXPRO_CLIENT_INTRODUCTION, {
      ...muxpro,
      table: muxpro.CLIENT_TABLE,
    }),
    section('net-mux: either end', NETMUX_INTRODUCTION, {
      INPUTS: netmux.INPUTS,
      FRAME_INPUTS: netmux.FRAME_INPUTS,
      table: netmux.TABLE,
    }),
  ].join('\n\n')
  const options = await resolveConfig(STATE_MACHINES_FILE)
  return format(text, { ...options, parser: 'markdown' })
}

/** Inputs that the pictures call an ending: they close a connection in nearly every state. */
const ENDINGS: readonly string[] = [
  'alert',
  'close',
  'local-abort',
  'idle-timeout',
  'ping-timeout',
  'end-of-input',
  'violation',
]

const INTRODUCTION = `# Connection state machines

The draft has a chapter for each of these machines and leaves both empty. These are ours, and those of
the other wires follow. The tables stand in the \`state-tables.ts\` of each wire, the machines move by them alone,
and this file is made of them by \`npm run diagrams\`: a change belongs there.

Inputs are the frames that arrive, and what else can happen:

| input | what it is |
|---|---|
| \`auth-mismatch\` | the first record is no AUTH of ours (D14) |
| \`auth-timeout\`, \`nego-timeout\`, \`idle-timeout\`, \`ping-timeout\` | a timer has come due (D16, D26, D8) |
| \`version-unsupported\` | a NEGO without a version in common (D20) |
| \`flush\` | Deliver 0 leaves: the first stream was opened, or the hold is over (D25) |
| \`local-close\`, \`local-abort\` | the application closes gracefully, or at once |
| \`drained\` | the last stream of a closing connection has ended |
| \`end-of-input\` | the peer will send no more bytes |
| \`violation\` | the peer broke the protocol (D17); before authentication that is a failure of it (D15) |
| \`violation-handover\` | the same, where the connection goes to another owner (D17) |

\`stream-open\` is a STREAM frame with the OPEN bit, \`stream\` one without. \`stream-credit\`, \`stream-hold\`, \`stream-fin\`,
\`stream-reset\` and \`goaway\` are of mux1 and a violation where it is not negotiated, whatever the state.

In the pictures, moves from a state to itself are left out, and so is what is illegal; "an ending" is any of
${ENDINGS.map((input) => `\`${input}\``).join(', ')},
as far as the table has it.
In the tables, \`·\` stays in the state and \`–\` is illegal there: from the peer it is a violation, from this
end it has no effect.`

const SERVER_INTRODUCTION = `The server says nothing before AUTH has matched. It hands over to the fallback what does not authenticate, and
what breaks the protocol later if it was told so.`

const CLIENT_INTRODUCTION = `The client counts as connected once Deliver 0 has left: its streams may be used from then on, while the
server's NEGO is still awaited.`

const LEGACY_SERVER_INTRODUCTION = `As on ANYTLS v1, but that settings take the place of NEGO.`

const LEGACY_CLIENT_INTRODUCTION = `\`unconfirmed\`: the server has not shown yet that it speaks this wire (N53). Streams may be used all the same.`

const MUXPRO_SERVER_INTRODUCTION = `NegotiateVersion comes first; frames of streams are illegal before it.`

const MUXPRO_CLIENT_INTRODUCTION = `The client opens streams without waiting for the answer to its NegotiateVersion.`

const NETMUX_INTRODUCTION = `There is no negotiation, and both ends open streams. What belongs to one stream is decided in
\`src/engine/streams.ts\`.`

/** What is drawn of one machine. */
interface Drawing<State extends string, Input extends string> {
  readonly INPUTS: readonly Input[]
  readonly FRAME_INPUTS: readonly Input[]
  readonly table: Table<State, Input>
}

function section<State extends string, Input extends string>(
  title: string,
  introduction: string,
  drawing: Drawing<State, Input>,
): string {
  return [`## ${title}`, introduction, picture(drawing), grid(drawing)].join('\n\n')
}

function picture<State extends string, Input extends string>(
  drawing: Drawing<State, Input>,
): string {
  const { table, INPUTS } = drawing
  const states = statesOf(table)
  const lines = ['```mermaid', 'stateDiagram-v2']
  for (const state of states) lines.push(`  state "${state}" as ${identifier(state)}`)
  const [initial] = states
  if (initial !== undefined) lines.push(`  [*] --> ${identifier(initial)}`)
  for (const from of states) {
    for (const to of states) {
      const inputs = INPUTS.filter((input) => from !== to && table[from][input] === to)
      if (inputs.length === 0) continue
      lines.push(`  ${identifier(from)} --> ${identifier(to)}: ${label(inputs)}`)
    }
    if (INPUTS.every((input) => table[from][input] === from)) {
      lines.push(`  ${identifier(from)} --> [*]`)
    }
  }
  return [...lines, '```'].join('\n')
}

function label(inputs: readonly string[]): string {
  const named = inputs.filter((input) => !ENDINGS.includes(input))
  const parts: string[] = inputs.length - named.length > 1 ? [...named, 'an ending'] : [...inputs]
  return parts.join(' / ')
}

function grid<State extends string, Input extends string>({
  table,
  INPUTS,
  FRAME_INPUTS,
}: Drawing<State, Input>): string {
  const states = statesOf(table)
  const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  const cell = (state: State, input: Input): string => {
    const next: string = table[state][input]
    if (next === ILLEGAL) return '–'
    return next === state ? '·' : next
  }
  return [
    row(['input', ...states]),
    row(['input', ...states].map(() => '---')),
    ...INPUTS.map((input) => {
      const name = FRAME_INPUTS.includes(input) ? input : `_${input}_`
      return row([name, ...states.map((state) => cell(state, input))])
    }),
  ].join('\n')
}

// A picture's names may not hold a hyphen.
function identifier(state: string): string {
  return state.replaceAll('-', '_')
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  writeFileSync(STATE_MACHINES_FILE, await renderStateMachines())
}
