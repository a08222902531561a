// Schemes with a name: usable by every client, and what they were when they were released.
import { describe, expect, it } from 'vitest'
import {
  checkScheme,
  DEFAULT_SCHEME,
  encodeScheme,
  NAMED_SCHEMES,
  parsePeerScheme,
  parseRawScheme,
} from '../../src/shaping.ts'

describe.each(Object.entries(NAMED_SCHEMES))('builtin:%s', (_name, { up, down }) => {
  it('is taken by clients of either wire, and nothing in it is odd', () => {
    for (const scheme of [up, down]) {
      const encoded = encodeScheme(scheme)
      expect(parsePeerScheme(encoded)).toEqual(scheme)
      expect(parseRawScheme(encoded).entries).toEqual(scheme.entries)
    }
    expect(checkScheme(up.text).problems).toEqual([])
  })
})

it('what has a name never changes', () => {
  const digests = Object.entries(NAMED_SCHEMES).map(([name, { up, down }]) => [
    name,
    up.digest,
    down.digest,
  ])
  expect(NAMED_SCHEMES.default).toEqual({ up: DEFAULT_SCHEME, down: DEFAULT_SCHEME })
  expect(digests).toMatchInlineSnapshot(`
    [
      [
        "default",
        "75cff2ad89aadf5e257059ee571ebe11",
        "75cff2ad89aadf5e257059ee571ebe11",
      ],
      [
        "flights",
        "e2abb5a3dd1e4b3a427ca780f4e3b758",
        "6c77c1350d5b38a55d0f940a053100f1",
      ],
    ]
  `)
})
