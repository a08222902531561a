// The padding schemes of servers outlive the client, and a bad file never stops it (D23).

import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { MAX_SERVERS } from '../../src/cli/server-file.ts'
import { openSchemeStore, openWireStore } from '../../src/cli/server-stores.ts'
import type { WireStore } from '../../src/tls/wire-store.ts'
import type { SchemeStore } from '../../src/shaping/scheme-store.ts'
import { parsePeerScheme, parseScheme } from '../../src/shaping/scheme.ts'

const root = mkdtempSync(join(tmpdir(), 'schemes-'))
const scheme = parseScheme('stop=2\n0=30-30\n1=100-400')
let count = 0
let file = ''
let warnings: string[] = []
beforeEach(() => {
  file = join(root, `state-${++count}`, 'schemes.json')
  warnings = []
})
afterAll(() => rmSync(root, { recursive: true }))

describe('scheme file store', () => {
  it('D23: a scheme is there for the next start, the same to the byte', () => {
    // What a peer sent may hold keys and items that are skipped; the digest is that of the whole text.
    const sent = parsePeerScheme('stop=3\n0=30-30\nnews=1\n1=100-400,odd,c\n')
    open().set('example.com:443', sent)
    const kept = open().get('example.com:443')
    expect(kept).toEqual(sent)
    expect(open().get('example.com:8443')).toBeUndefined()
    expect(warnings).toEqual([])
  })

  it.skipIf(process.platform === 'win32')(
    'D23: the file is private and nothing else is left (only where files have modes)',
    () => {
      open().set('example.com:443', scheme)
      expect(statSync(file).mode & 0o777).toBe(0o600)
      expect(readdirSync(join(file, '..'))).toEqual(['schemes.json'])
    },
  )

  it('D23: a file that is not there is no reason for a warning', () => {
    expect(open().get('example.com:443')).toBeUndefined()
    expect(warnings).toEqual([])
  })

  it('D23: a damaged file gives one warning, an empty store and a whole file at the next scheme', () => {
    open().set('example.com:443', scheme)
    const whole = readFileSync(file, 'utf8')
    const damages = [
      '',
      whole.slice(0, -5),
      '[]',
      'null',
      '{"version":1}',
      '{"version":2,"servers":{}}',
      'x'.repeat(2 * 1024 * 1024),
    ]
    for (const damaged of damages) {
      writeFileSync(file, damaged)
      warnings = []
      const store = open()
      expect(warnings).toHaveLength(1)
      expect(warnings[0]).toMatch(/^starting without kept padding schemes: [^\n]+$/)
      expect(store.get('example.com:443')).toBeUndefined()
      store.set('example.com:443', scheme)
      expect(readFileSync(file, 'utf8')).toBe(whole)
    }
  })

  it('D23: entries that cannot be used are skipped with one warning, the others stay', () => {
    open().set('example.com:443', scheme)
    const { servers } = JSON.parse(readFileSync(file, 'utf8')) as { servers: object }
    const damaged = { 'a:1': 7, 'b:1': 'no scheme', ...servers }
    writeFileSync(file, JSON.stringify({ version: 1, servers: damaged }))
    const store = open()
    expect(warnings).toEqual(['2 of 3 kept padding schemes cannot be used: skipped'])
    expect(store.get('a:1')).toBeUndefined()
    expect(store.get('example.com:443')).toEqual(scheme)
  })

  it('D23: a scheme that is kept already is not written again', () => {
    const store = open()
    store.set('example.com:443', scheme)
    rmSync(file)
    store.set('example.com:443', parseScheme(scheme.text))
    expect(existsSync(file)).toBe(false)
    store.set('example.com:443', parseScheme('stop=1'))
    expect(existsSync(file)).toBe(true)
  })

  it('D23: no more than 256 servers are remembered, the one heard of longest ago goes', () => {
    const store = open()
    for (let n = 0; n < MAX_SERVERS; n += 1) store.set(`host-${n}.example.com:443`, scheme)
    store.set('host-0.example.com:443', scheme)
    store.set('new.example.com:443', scheme)
    for (const seen of [store, open()]) {
      expect(seen.get('host-0.example.com:443')).toBeDefined()
      expect(seen.get('host-1.example.com:443')).toBeUndefined()
      expect(seen.get('host-2.example.com:443')).toBeDefined()
      expect(seen.get('new.example.com:443')).toBeDefined()
    }
  })

  it('D23: large schemes push out old ones before the file grows too large to be read', () => {
    const large = parsePeerScheme(`stop=1\n0=1-1\nnote=${'x'.repeat(60_000)}`)
    const store = open()
    for (let n = 0; n < 30; n += 1) store.set(`host-${n}.example.com:443`, large)
    const next = open()
    expect(warnings).toEqual([])
    expect(next.get('host-0.example.com:443')).toBeUndefined()
    expect(next.get('host-29.example.com:443')).toEqual(large)
  })

  it('D23: a file that cannot be written is told of, and the scheme still counts', () => {
    writeFileSync(join(file, '..'), 'a file in its place')
    const store = open()
    warnings = []
    store.set('example.com:443', scheme)
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toMatch(/^the padding schemes of example.com:443 are not kept: [^\n]+$/)
    expect(store.get('example.com:443')).toBe(scheme)
  })
})

describe('wire store', () => {
  it('what a server speaks is there for the next start, until it is taken back', () => {
    openWires().set('example.com:443', 'legacy')
    const again = openWires()
    expect(again.get('example.com:443')).toBe('legacy')
    again.delete('example.com:443')
    again.delete('example.com:443')
    expect(openWires().get('example.com:443')).toBeUndefined()
    expect(warnings).toEqual([])
  })

  it('a wire that nobody knows is skipped with a warning', () => {
    openWires().set('a:1', 'v1')
    const text = readFileSync(join(dirname(file), 'wires.json'), 'utf8')
    writeFileSync(join(dirname(file), 'wires.json'), text.replace('"v1"', '"v9"'))
    expect(openWires().get('a:1')).toBeUndefined()
    expect(warnings).toEqual(['1 of 1 kept wires cannot be used: skipped'])
  })
})

function openWires(): WireStore {
  return openWireStore(dirname(file), (problem) => warnings.push(problem))
}

function open(): SchemeStore {
  return openSchemeStore(dirname(file), (problem) => warnings.push(problem))
}
