// What is to be written at the end of a turn of the loop is, whatever another throws.
import { describe, expect, it, onTestFinished } from 'vitest'
import { flushAtTurnEnd } from '../../src/session/turn-end.ts'

const turnOver = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('the end of a turn of the loop', () => {
  it('flushes each that asked, in order, once, and later those that asked meanwhile', async () => {
    const told: string[] = []
    const second = { flush: () => void told.push('second') }
    const first = {
      flush() {
        told.push('first')
        flushAtTurnEnd(second)
      },
    }
    flushAtTurnEnd(first)
    flushAtTurnEnd(second)
    expect(told).toEqual([])
    await turnOver()
    await turnOver()
    await turnOver()
    expect(told).toEqual(['first', 'second', 'second'])
  })

  it('flushes the others when one throws, which is an uncaught exception', async () => {
    const failure = new Error('no')
    const caught: unknown[] = []
    const before = process.listeners('uncaughtException')
    process.removeAllListeners('uncaughtException')
    process.on('uncaughtException', (error) => caught.push(error))
    onTestFinished(() => {
      process.removeAllListeners('uncaughtException')
      for (const listener of before) process.on('uncaughtException', listener)
    })
    let flushed = 0
    flushAtTurnEnd({
      flush() {
        throw failure
      },
    })
    flushAtTurnEnd({ flush: () => void (flushed += 1) })
    await turnOver()
    await turnOver()
    expect(flushed).toBe(1)
    expect(caught).toEqual([failure])
  })
})
