// The state tables as data: total, reachable, closed; and the file that is drawn from them.
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { renderStateMachines, STATE_MACHINES_FILE } from '../../../scripts/diagrams.ts'
import {
  CLIENT_TABLE,
  FRAME_INPUTS,
  INPUTS,
  SERVER_TABLE,
} from '../../../src/wires/anytls/state-tables.ts'
import type { Input } from '../../../src/wires/anytls/state-tables.ts'
import { ILLEGAL, statesOf } from '../../../src/engine/state-table.ts'
import type { Table } from '../../../src/engine/state-table.ts'
import { checkFinal, checkTable } from '../../support/state-suite.ts'

describe('server state table', () => {
  describeTable(SERVER_TABLE, ['closed', 'handed-over'])

  it('D9: frames that only servers send are illegal in every state', () => {
    for (const input of ['server-nego', 'scheme-update', 'stream-ack'] as const) {
      expect(legalIn(SERVER_TABLE, input)).toEqual(['closed', 'handed-over'])
    }
  })

  it('mux1, N41: GOAWAY of a client is an answer, and legal only behind the question', () => {
    expect(legalIn(SERVER_TABLE, 'goaway')).toEqual([
      'going-away',
      'draining',
      'closed',
      'handed-over',
    ])
  })

  it('D15, D17: only before authentication does a violation always go to another owner', () => {
    expect(SERVER_TABLE['await-auth'].violation).toBe('handed-over')
    for (const state of ['await-nego', 'open', 'going-away', 'draining'] as const) {
      expect(SERVER_TABLE[state].violation).toBe('closed')
      expect(SERVER_TABLE[state]['violation-handover']).toBe('handed-over')
    }
  })

  it('D19: only NEGO, ALERT and CLOSE are legal between AUTH and NEGO', () => {
    const legal = FRAME_INPUTS.filter((input) => SERVER_TABLE['await-nego'][input] !== ILLEGAL)
    expect(legal).toEqual(['alert', 'close', 'client-nego'])
  })
})

describe('client state table', () => {
  describeTable(CLIENT_TABLE, ['closed'])

  it('D9: frames that only clients send are illegal in every state', () => {
    for (const input of ['auth', 'client-nego', 'stream-open'] as const) {
      expect(legalIn(CLIENT_TABLE, input)).toEqual(['closed'])
    }
  })

  it('D19: only the NEGO, PADDING, ALERT and CLOSE of a server are legal before its NEGO', () => {
    for (const state of ['negotiating', 'draining-early'] as const) {
      const legal = FRAME_INPUTS.filter((input) => CLIENT_TABLE[state][input] !== ILLEGAL)
      expect(legal, state).toEqual(['alert', 'close', 'server-nego', 'padding'])
    }
  })
})

describe('spec-notes/state-machines.md', () => {
  it('is what npm run diagrams makes of the tables', async () => {
    expect(readFileSync(STATE_MACHINES_FILE, 'utf8')).toBe(await renderStateMachines())
  })

  it('has every state and every input of both tables', async () => {
    const [text = ''] = (await renderStateMachines()).split('## The original wire')
    for (const input of INPUTS) {
      const rows = text
        .split('\n')
        .filter((line) => line.replaceAll('_', '').startsWith(`| ${input} `))
      expect(rows.length, input).toBe(2)
    }
    for (const state of [...statesOf(SERVER_TABLE), ...statesOf(CLIENT_TABLE)]) {
      expect(text).toContain(`state "${state}" as `)
    }
  })
})

function describeTable<State extends string>(
  table: Table<State, Input>,
  final: readonly State[],
): void {
  it('every state has a defined answer to every input, and can be reached', () => {
    checkTable(INPUTS, table)
  })

  it('what is over stays over, and nothing else does', () => {
    checkFinal(INPUTS, table, final)
  })

  it('from every state that is not over, the application, the peer and a violation can end it', () => {
    for (const state of statesOf(table)) {
      for (const input of ['local-abort', 'end-of-input', 'violation'] as const) {
        expect(final, `${state}, ${input}`).toContain(table[state][input])
      }
    }
  })
}

function legalIn<State extends string>(table: Table<State, Input>, input: Input): string[] {
  return Object.keys(table).filter((state) => table[state as State][input] !== ILLEGAL)
}
