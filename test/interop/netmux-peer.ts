// Starts the program of test/interop/rust: the crate net-mux with a TCP port.
import { spawn } from 'node:child_process'
import type { ChildProcessByStdio } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { onTestFinished } from 'vitest'
import { netmuxPeer } from './support/cargo-build.ts'

/** The running program and what it has told. */
export class Peer {
  readonly port: number
  readonly lines: string[] = []
  readonly #told = new EventEmitter()
  #over = false

  constructor(port: number, output: AsyncIterable<string>) {
    this.port = port
    void this.#listen(output)
  }

  /** Connects to it; the socket is destroyed when the test ends. */
  connect(): Socket {
    const socket = connect(this.port, '127.0.0.1').setNoDelay(true)
    onTestFinished(() => void socket.destroy())
    return socket
  }

  /** Waits until it has said a line that begins so; returns the line. */
  async said(beginning: string): Promise<string> {
    for (;;) {
      const line = this.lines.find((line) => line.startsWith(beginning))
      if (line !== undefined) return line
      if (this.#over) throw new Error(`netmux-peer ended without saying "${beginning}"`)
      await once(this.#told, 'line')
    }
  }

  async #listen(output: AsyncIterable<string>): Promise<void> {
    for await (const line of output) {
      this.lines.push(line)
      this.#told.emit('line')
    }
    this.#over = true
    this.#told.emit('line')
  }
}

/**
 * Starts the program, see test/interop/rust/src/main.rs; it is ended with the test.
 *
 * @param words role, action and options
 */
export async function startPeer(...words: readonly (string | number)[]): Promise<Peer> {
  const child: ChildProcessByStdio<Writable, Readable, null> = spawn(
    netmuxPeer.path,
    words.map(String),
    { stdio: ['pipe', 'pipe', 'inherit'] },
  )
  onTestFinished(async () => {
    const gone = once(child, 'exit')
    child.stdin.end()
    if (child.exitCode === null) await gone
  })
  const output = createInterface(child.stdout)[Symbol.asyncIterator]()
  const first = await output.next()
  const port = /^listening (\d+)$/.exec(String(first.value))?.[1]
  if (port === undefined) throw new Error(`netmux-peer said ${String(first.value)}`)
  return new Peer(Number(port), { [Symbol.asyncIterator]: () => output })
}
