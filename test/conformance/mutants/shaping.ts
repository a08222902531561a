// Faults for the rows of the chapter AnyTLS Legacy Traffic Shaping Scheme.
import type { Mutant } from './mutant.ts'

export const SHAPING: readonly Mutant[] = [
  {
    section: 'AnyTLS Legacy Traffic Shaping Scheme v0 / Core Concepts',
    quote: 'A single logical operation where the application layer submits data',
    file: 'src/engine/output.ts',
    find: 'of this.#shaper.deliver(concatBytes(parts), { control: lift })',
    put: 'of parts.flatMap((part) => this.#shaper.deliver(part, { control: lift }))',
  },
  {
    section: 'AnyTLS Legacy Traffic Shaping Scheme v0 / Core Concepts',
    quote: 'It serves as the discrete unit for the Shaping Threshold',
    file: 'src/shaping/shaper.ts',
    find: 'if (rest.length > 0) writes.push',
    put: 'this.#next = index + Math.max(1, writes.length)\n    if (rest.length > 0) writes.push',
  },
  {
    section: 'AnyTLS Legacy Traffic Shaping Scheme v0 / Core Concepts',
    quote: 'maintains a counter incremented at the start of each Deliver',
    file: 'src/shaping/shaper.ts',
    find: 'this.#next += 1',
    put: 'if (index === 0 || this.#scheme.entries.has(index)) this.#next += 1',
  },
  {
    section: 'AnyTLS Legacy Traffic Shaping Scheme v0 / Core Concepts',
    quote:
      'Once the counter reaches the Stop value, shaping logic (padding and segmentation) is disabled',
    file: 'src/shaping/shaper.ts',
    find: 'index >= this.#scheme.stop',
    put: 'index > this.#scheme.stop',
  },
  {
    section: 'AnyTLS Legacy Traffic Shaping Scheme v0 / Core Concepts',
    quote: 'actual operation of submitting a byte data to the underlying TLS connection',
    file: 'src/session/record-writer.ts',
    find: 'if (shaped) {',
    put: 'if (shaped && parts.length > 1) {',
  },
  {
    section: 'AnyTLS Legacy Traffic Shaping Scheme v0 / Core Concepts',
    quote: 'may trigger one, or multiple Write operations',
    file: 'src/shaping/shaper.ts',
    find: 'return writes',
    put: 'return [concatBytes(writes)]',
  },
  {
    section:
      'AnyTLS Legacy Traffic Shaping Scheme v0 / Phase 1: Initial Frame Coalescing (Index 0 Deliver)',
    quote: 'SHOULD aggregate the initial set of control frames into a single buffer',
    file: 'src/wires/anytls/client.ts',
    find: 'connection.channel.send(concatBytes([auth, encodeClientNego(nego), open]))',
    put: 'connection.channel.send(auth)\n    connection.channel.send(concatBytes([encodeClientNego(nego), open]))',
  },
  {
    section:
      'AnyTLS Legacy Traffic Shaping Scheme v0 / Phase 1: Initial Frame Coalescing (Index 0 Deliver)',
    quote: 'the client does not wait for server acknowledgement',
    file: 'src/wires/anytls/client.ts',
    find: "state === 'initializing' || state === 'negotiating' || state === 'open'",
    put: "state === 'initializing' || state === 'open'",
  },
  {
    section:
      'AnyTLS Legacy Traffic Shaping Scheme v0 / Phase 1: Initial Frame Coalescing (Index 0 Deliver)',
    quote: 'AUTH Frame (cmdSettings)',
    file: 'src/wires/anytls/client.ts',
    find: 'encodeAuth(passwordHash, shaper.authPadding())',
    put: 'encodeAuth(passwordHash, 0)',
  },
  {
    section:
      'AnyTLS Legacy Traffic Shaping Scheme v0 / Phase 1: Initial Frame Coalescing (Index 0 Deliver)',
    quote: 'NEGO Frame: Contains',
    file: 'src/wires/anytls/client.ts',
    find: 'schemeDigest: scheme.digest',
    put: 'schemeDigest: name',
  },
  {
    section:
      'AnyTLS Legacy Traffic Shaping Scheme v0 / Phase 1: Initial Frame Coalescing (Index 0 Deliver)',
    quote: 'STREAM OPEN Frame',
    file: 'src/wires/anytls/client.ts',
    find: "if (connection.state === 'initializing') flush(connection, open)\n      else",
    put: "if (connection.state === 'initializing') flush(connection, NO_FRAME)\n      else",
  },
  {
    section:
      'AnyTLS Legacy Traffic Shaping Scheme v0 / Phase 1: Initial Frame Coalescing (Index 0 Deliver)',
    quote: 'This aggregated block is treated as the first Deliver (Index 0)',
    file: 'src/shaping/shaper.ts',
    find: 'if (index === 0 || index',
    put: 'if (index',
  },
  {
    section:
      'AnyTLS Legacy Traffic Shaping Scheme v0 / Phase 1: Initial Frame Coalescing (Index 0 Deliver)',
    quote: 'submitting these frames via a single Write',
    file: 'src/session/record-writer.ts',
    find: 'this.#sink.write(bytes, ',
    put: 'this.#sink.write(bytes.subarray(0, 9))\n    this.#sink.write(bytes.subarray(9), ',
  },
  {
    section:
      'AnyTLS Legacy Traffic Shaping Scheme v0 / Phase 2: Discrete Delivery (Post-Initialization)',
    quote: 'SHOULD be treated as an individual Deliver operation',
    file: 'src/engine/send-scheduler.ts',
    find: 'sender.messages || machine.shaping',
    put: 'sender.messages',
  },
  {
    section:
      'AnyTLS Legacy Traffic Shaping Scheme v0 / Phase 2: Discrete Delivery (Post-Initialization)',
    quote: 'Each Deliver increments',
    file: 'src/shaping/shaper.ts',
    find: 'this.#next += 1',
    put: 'this.#next += index === 0 ? 1 : 2',
  },
  {
    section:
      'AnyTLS Legacy Traffic Shaping Scheme v0 / Phase 2: Discrete Delivery (Post-Initialization)',
    quote: 'While the counter is below Stop, the shaper applies the PaddingScheme',
    file: 'src/shaping/shaper.ts',
    find: 'index >= this.#scheme.stop',
    put: 'index >= this.#scheme.stop - 1',
  },
  {
    section:
      'AnyTLS Legacy Traffic Shaping Scheme v0 / Phase 2: Discrete Delivery (Post-Initialization)',
    quote: 'it is split into multiple Write operations',
    file: 'src/shaping/shaper.ts',
    find: 'const target = this.#draw(item)',
    put: 'const target = Math.max(this.#draw(item), rest.length)',
  },
  {
    section:
      'AnyTLS Legacy Traffic Shaping Scheme v0 / Phase 2: Discrete Delivery (Post-Initialization)',
    quote: 'frame is appended to the data before an actual Write is executed',
    file: 'src/shaping/shaper.ts',
    find: 'this.#format.fill(target - data.length)',
    put: 'this.#format.fill(target - data.length - 1)',
  },
  {
    section: 'AnyTLS Legacy Traffic Shaping Scheme v0 / Phase 3: Residual Handling',
    quote: 'the remaining data MUST be transmitted immediately via an unshaped Write',
    file: 'src/shaping/shaper.ts',
    find: 'writes.push(control ? this.#lift(rest, index) : rest)',
    put: 'writes.push(concatBytes([...writes.splice(-1), rest]))',
  },
  {
    section: 'AnyTLS Legacy Traffic Shaping Scheme v0 / Phase 3: Residual Handling',
    quote: 'Buffer AUTH + NEGO',
    file: 'src/wires/anytls/client.ts',
    find: 'return started + timeouts.hold',
    put: 'return started',
  },
  {
    section: 'AnyTLS Legacy Traffic Shaping Scheme v0 / Phase 3: Residual Handling',
    quote: 'Concat Buffer; Execute Deliver 0',
    file: 'src/wires/anytls/client.ts',
    find: 'connection.channel.send(concatBytes([auth, encodeClientNego(nego), open]))',
    put: 'for (const frame of [auth, encodeClientNego(nego), open]) connection.channel.send(frame)',
  },
  {
    section: 'AnyTLS Legacy Traffic Shaping Scheme v0 / Phase 3: Residual Handling',
    quote: 'Apply Padding/Segmentation',
    file: 'src/shaping/shaper.ts',
    find: 'rest.length < target ? this.#pad(rest, target)',
    put: 'rest.length < target ? rest',
  },
  {
    section: 'AnyTLS Legacy Traffic Shaping Scheme v0 / Phase 3: Residual Handling',
    quote: 'Deliver >= Quota',
    file: 'src/engine/output.ts',
    find: ' && (this.#shaper.active || this.#atDeliver0)',
    put: '',
  },
]
