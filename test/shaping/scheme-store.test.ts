// Schemes remembered by server, within bounds.
import { describe, expect, it } from 'vitest'
import { DEFAULT_SCHEME, parseScheme } from '../../src/shaping/scheme.ts'
import { MemorySchemeStore } from '../../src/shaping/scheme-store.ts'

const other = parseScheme('stop=1')

describe('MemorySchemeStore', () => {
  it('D23: keeps one scheme for each server, the last one', () => {
    const store = new MemorySchemeStore()
    expect(store.get('a:443')).toBeUndefined()
    store.set('a:443', DEFAULT_SCHEME)
    store.set('b:443', DEFAULT_SCHEME)
    store.set('a:443', other)
    expect(store.get('a:443')).toBe(other)
    expect(store.get('b:443')).toBe(DEFAULT_SCHEME)
  })

  it('drops the least recently used server when it is full', () => {
    const store = new MemorySchemeStore(2)
    store.set('a', other)
    store.set('b', other)
    store.get('a')
    store.set('c', other)
    expect(['a', 'b', 'c'].map((server) => store.get(server))).toEqual([other, undefined, other])
    store.set('a', DEFAULT_SCHEME)
    store.set('d', other)
    expect(['a', 'c', 'd'].map((server) => store.get(server))).toEqual([
      DEFAULT_SCHEME,
      undefined,
      other,
    ])
  })

  it('keeps 1,024 servers by default', () => {
    const store = new MemorySchemeStore()
    for (let index = 0; index <= 1024; index++) store.set(`server-${index}`, other)
    expect(store.get('server-0')).toBeUndefined()
    expect(store.get('server-1')).toBe(other)
  })

  it.each([0, -1, 1.5, Number.NaN])('refuses a capacity of %s', (capacity) => {
    expect(() => new MemorySchemeStore(capacity)).toThrow(
      expect.objectContaining({
        code: 'ERR_OPTION_INVALID',
        message: 'the capacity of a scheme store is at least 1',
      }),
    )
  })

  it('may have room for one', () => {
    const store = new MemorySchemeStore(1)
    store.set('a', other)
    store.set('b', other)
    expect([store.get('a'), store.get('b')]).toEqual([undefined, other])
  })

  it('makes no room for who only asks', () => {
    const store = new MemorySchemeStore(2)
    store.set('a', other)
    expect(store.get('nobody')).toBeUndefined()
    store.set('b', other)
    expect([store.get('a'), store.get('b')]).toEqual([other, other])
  })
})
