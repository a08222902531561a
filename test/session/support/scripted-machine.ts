// A machine that does what a test says, and notes what it is asked: for what a session does with any of them.
import type { Machine, MachineEvent, Write } from '../../../src/engine/machine.ts'

export class ScriptedMachine implements Machine {
  readonly wire = 'v1'
  hasMore = false
  deadline = Infinity
  mayOpen = true
  flowControlled = true
  shaping = false
  maxPayload = 65_535
  lastAlive = 0
  pingable = true
  /** What each stream may send. */
  creditOf: (stream: number) => number = () => Infinity
  /** What the next calls of `receive` return, one after the other. */
  readonly received: MachineEvent[][] = []
  /** What the next calls of other methods return. */
  readonly answers: Partial<Record<string, readonly MachineEvent[]>> = {}
  /** Name and arguments of what was called, but for what only asks. */
  readonly calls: [string, ...unknown[]][] = []
  #writes: Write[] = []
  #opened = 0

  /** Has something to be written, which is shaped. */
  say(text: string | Uint8Array): void {
    const part = Buffer.from(text as string)
    this.#writes.push({ parts: [part], bytes: part.length, shaped: true })
  }

  /** The calls of that method. */
  called(name: string): unknown[][] {
    return this.calls.filter(([called]) => called === name).map(([, ...args]) => args)
  }

  receive(chunk: Uint8Array, now: number): readonly MachineEvent[] {
    this.calls.push(['receive', Buffer.from(chunk).toString(), now])
    return this.received.shift() ?? []
  }

  endOfInput(now: number): readonly MachineEvent[] {
    return this.#answer('endOfInput', now)
  }

  timeout(now: number): readonly MachineEvent[] {
    return this.#answer('timeout', now)
  }

  openStream(now: number, ...request: readonly unknown[]): number {
    this.calls.push(['openStream', now, ...request])
    this.#opened += 1
    return this.#opened
  }

  acceptStream(stream: number, now: number): void {
    this.calls.push(['acceptStream', stream, now])
  }

  credit(stream: number): number {
    return this.creditOf(stream)
  }

  sendData(stream: number, parts: readonly Uint8Array[], bytes: number): void {
    this.calls.push(['sendData', stream, bytes])
    this.#writes.push({ parts, bytes, shaped: false })
  }

  finishStream(stream: number, now: number): readonly MachineEvent[] {
    return this.#answer('finishStream', stream, now)
  }

  resetStream(...args: readonly unknown[]): readonly MachineEvent[] {
    return this.#answer('resetStream', ...args)
  }

  consumed(stream: number, bytes: number, now: number): void {
    this.calls.push(['consumed', stream, bytes, now])
  }

  ping(now: number): boolean {
    this.calls.push(['ping', now])
    return true
  }

  close(now: number): readonly MachineEvent[] {
    return this.#answer('close', now)
  }

  abort(...args: readonly unknown[]): readonly MachineEvent[] {
    return this.#answer('abort', ...args)
  }

  setReading(reading: boolean, now: number): void {
    this.calls.push(['setReading', reading, now])
  }

  progress(now: number): void {
    this.calls.push(['progress', now])
  }

  takeWrites(): readonly Write[] {
    const taken = this.#writes
    this.#writes = []
    return taken
  }

  #answer(name: string, ...args: readonly unknown[]): readonly MachineEvent[] {
    this.calls.push([name, ...args])
    const answer = this.answers[name] ?? []
    this.answers[name] = undefined
    return answer
  }
}
