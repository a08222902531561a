// What an application gives, called in a way in which it harms itself alone.
import { EventEmitter, getEventListeners } from 'node:events'
import { describe, expect, it } from 'vitest'
import { guarded, orAborted, tell } from '../../src/session/callbacks.ts'
import { settle } from '../support/fake-clock.ts'
import { takeUncaught } from '../support/uncaught.ts'

describe('orAborted', () => {
  it('settles as the promise does, and leaves nothing on the signal', async () => {
    const { signal } = new AbortController()
    expect(await orAborted(Promise.resolve(7), signal)).toBe(7)
    const failure = new Error('no')
    await expect(orAborted(Promise.reject(failure), signal)).rejects.toBe(failure)
    expect(getEventListeners(signal, 'abort')).toEqual([])
    expect(await orAborted(Promise.resolve(8), undefined)).toBe(8)
  })

  it('rejects with the reason as soon as the signal is aborted, also when it was before', async () => {
    const abort = new AbortController()
    const never = new Promise<void>(() => {})
    const waits = orAborted(never, abort.signal)
    const reason = new Error('enough')
    abort.abort(reason)
    await expect(waits).rejects.toBe(reason)
    await expect(orAborted(never, abort.signal)).rejects.toBe(reason)
  })
})

describe('guarded', () => {
  it('gives what the callback returns', () => {
    expect(guarded(() => 7)).toBe(7)
  })

  it('goes on with undefined when it throws, and what it threw is an uncaught exception, once', async () => {
    const uncaught = takeUncaught()
    const failure = new Error('mine')
    const fail = (): number => {
      throw failure
    }
    expect(guarded(fail)).toBeUndefined()
    expect(uncaught).toEqual([])
    await settle()
    expect(uncaught).toEqual([failure])
  })
})

describe('tell', () => {
  it('says whether anybody listens', () => {
    const emitter = new EventEmitter()
    expect(tell(emitter, 'news')).toBe(false)
    emitter.on('news', () => {})
    expect(tell(emitter, 'news')).toBe(true)
  })

  it('calls every listener as its emitter would, whatever the others throw, and those of once() once', async () => {
    const uncaught = takeUncaught()
    const emitter = new EventEmitter()
    const heard: unknown[] = []
    emitter.once('news', () => {
      throw new Error('mine')
    })
    emitter.on('news', function (this: unknown, ...args: unknown[]) {
      heard.push(this, ...args)
    })
    tell(emitter, 'news', 1, 'two')
    tell(emitter, 'news', 3)
    expect(heard).toEqual([emitter, 1, 'two', emitter, 3])
    await settle()
    expect(uncaught).toHaveLength(1)
  })
})
