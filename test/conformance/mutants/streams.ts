// Faults for the rows of the chapter Streams.
import type { Mutant } from './mutant.ts'

export const STREAMS: readonly Mutant[] = [
  {
    section: 'Streams / Control Stream',
    quote: 'identified by StreamId = 0',
    file: 'src/wires/anytls/frame-encoder.ts',
    find: 'const CONTROL_STREAM = 0',
    put: 'const CONTROL_STREAM = 1',
  },
  {
    section: 'Streams / Control Stream',
    quote: 'The Control Stream is reserved for protocol negotiation',
    file: 'src/wires/anytls/frame-decoder.ts',
    find: ': value > 0',
    put: ': value >= 0',
  },
  {
    section: 'Streams / Explicit Data Streams',
    quote: 'MUST be explicitly opened by transmitting a STREAM frame with the OPEN bit set',
    file: 'src/wires/anytls/client.ts',
    find: 'encodeStream(id, StreamFlag.Open)',
    put: 'encodeStream(id, 0)',
  },
  {
    section: 'Streams / Explicit Data Stream Identifiers',
    quote: 'defines an independent Stream ID space',
    file: 'src/wires/anytls/client.ts',
    find: 'streams.lastId += 1',
    put: 'streams.lastId = globalThis.lastId = (globalThis.lastId ?? 0) + 1',
  },
  {
    section: 'Streams / Explicit Data Stream Identifiers',
    quote: 'MUST be greater than zero',
    file: 'src/wires/anytls/client.ts',
    find: 'const id = streams.lastId',
    put: 'const id = streams.lastId - 1',
  },
  {
    section: 'Streams / Explicit Data Stream Identifiers',
    quote: 'MUST be unique within the connection',
    file: 'src/wires/anytls/server.ts',
    find: 'if (stream <= connection.streams.lastId)',
    put: 'if (stream < connection.streams.lastId)',
  },
  {
    section: 'Streams / Explicit Data Stream Identifiers',
    quote: 'MUST be allocated as monotonically increasing integers',
    file: 'src/wires/anytls/server.ts',
    find: 'if (stream <= connection.streams.lastId)',
    put: 'if (stream === connection.streams.lastId)',
  },
  {
    section: 'Streams / Explicit Data Stream Identifiers',
    quote: 'ranges from 1 to 2⁶² − 1',
    file: 'src/wires/anytls/frame-decoder.ts',
    find: 'if (value === Infinity) throw',
    put: 'if (value === Infinity && index > 0) throw',
  },
  {
    section: 'Streams / Stream Timeout',
    quote: 'a timeout mechanism MUST be implemented for each stream',
    file: 'src/engine/streams.ts',
    find: 'let due = quietSince + this.#timeouts.stream',
    put: 'let due = Infinity',
  },
  {
    section: 'Streams / Stream Timeout',
    quote: 'that stream MUST be automatically terminated',
    file: 'src/engine/streams.ts',
    find: 'this.#sayReset(record, CloseCode.Timeout, error.message)',
    put: 'for (const one of this.list()) if (one !== record) this.end(one, error)\n    this.#sayReset(record, CloseCode.Timeout, error.message)',
  },
  {
    section: 'Streams / Stream Timeout',
    quote: 'MUST each maintain an independent timer for every stream',
    file: 'src/engine/streams.ts',
    find: 'record.heard = true',
    put: 'record.heard = true\n    for (const one of this.list()) one.lastActivity = this.#channel.now',
  },
]
