// A socket that is never connected, has come from somewhere, and notes how it holds the process.
import { Socket } from 'node:net'

export class NotedSocket extends Socket {
  held: boolean | undefined

  constructor() {
    super()
    Object.defineProperty(this, 'remoteAddress', { value: '192.0.2.1' })
  }

  override ref(): this {
    this.held = true
    return this
  }

  override unref(): this {
    this.held = false
    return this
  }
}
