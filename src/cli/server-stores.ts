// Keeps what servers sent and what they speak in files, for connections after a restart (D23).
// Must never hold anything secret.

import { join } from 'node:path'
import { parseRawScheme } from '../shaping/scheme.ts'
import type { Scheme } from '../shaping/scheme.ts'
import type { SchemeStore } from '../shaping/scheme-store.ts'
import type { ServerWire, WireStore } from '../transport/wire-store.ts'
import { ServerFile } from './server-file.ts'

/** The padding schemes that servers sent, in `schemes.json` of `folder`. */
export function openSchemeStore(folder: string, warn: (problem: string) => void): SchemeStore {
  const format = { what: 'padding schemes', encode: schemeText, decode: parseKept }
  return new ServerFile<Scheme>(join(folder, 'schemes.json'), format, warn)
}

/** The wires that servers speak, in `wires.json` of `folder`. */
export function openWireStore(folder: string, warn: (problem: string) => void): WireStore {
  const format = { what: 'wires', encode: String, decode: parseWire }
  return new ServerFile<ServerWire>(join(folder, 'wires.json'), format, warn)
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

function parseWire(text: string): ServerWire | undefined {
  return text === 'v1' || text === 'legacy' ? text : undefined
}
