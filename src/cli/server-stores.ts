// Keeps what servers sent and what they speak in files, for connections after a restart (D23).

import { join } from 'node:path'
import { parseRawScheme } from '../shaping/scheme.ts'
import type { Scheme } from '../shaping/scheme.ts'
import type { SchemeStore } from '../shaping/scheme-store.ts'
import { learnWire } from '../tls/wire-store.ts'
import type { LearntWire, WireStore } from '../tls/wire-store.ts'
import { ServerFile } from './server-file.ts'

/** The padding schemes that servers sent, in `schemes.json` of `folder`. */
export function openSchemeStore(folder: string, warn: (problem: string) => void): SchemeStore {
  const format = { what: 'padding schemes', encode: schemeText, decode: parseKept }
  return new ServerFile<Scheme>(join(folder, 'schemes.json'), format, warn)
}

/** The wires that servers speak, in `wires.json` of `folder`. */
export function openWireStore(folder: string, warn: (problem: string) => void): WireStore {
  const format = { what: 'wires', encode: wireText, decode: parseWire }
  const file = new ServerFile<LearntWire>(join(folder, 'wires.json'), format, warn)
  return {
    get(server) {
      const learnt = file.get(server)
      return learnt !== undefined && learnt.until > Date.now() ? learnt.wire : undefined
    },
    set: (server, wire) => file.set(server, learnWire(wire, Date.now())),
    delete: (server) => file.delete(server),
  }
}

function schemeText({ text }: Scheme): string {
  return text
}

function parseKept(text: string): Scheme | undefined {
  try {
    return parseRawScheme(text)
  } catch {
    return undefined
  }
}

function wireText({ wire, until }: LearntWire): string {
  return until === Infinity ? wire : `${wire} until ${until}`
}

function parseWire(text: string): LearntWire | undefined {
  if (text === 'v1') return { wire: 'v1', until: Infinity }
  const [, version, until] = /^legacy(-1)? until (\d{1,15})$/.exec(text) ?? []
  if (until === undefined) return undefined
  return { wire: version === undefined ? 'legacy' : 'legacy-1', until: Number(until) }
}
