// Share links: every form seen in the wild is read, and what is written is read back.

import { describe, expect, it } from 'vitest'
import fc from 'fast-check'
import vectors from '../../fixtures/share-link.json' with { type: 'json' }
import { formatShareLink, isShareLink, parseShareLink } from '../../src/serve/share-link.ts'
import type { ShareLink } from '../../src/serve/share-link.ts'
import { errorOf } from '../codec/vectors.ts'

describe('share link: what is read', () => {
  for (const { title, link, is } of vectors.valid) {
    it(`Share link: ${title}`, () => {
      expect(parseShareLink(link)).toEqual(is)
    })
  }
})

describe('share link: what is refused', () => {
  for (const { title, link, names } of vectors.invalid) {
    it(`Share link: ${title} is refused by name, and the password stays out of it`, () => {
      const error = errorOf(() => parseShareLink(link))
      expect(error.code).toBe('ERR_LINK_INVALID')
      expect(error.message).toContain(names)
      expect(error.message).not.toContain('letmein')
    })
  }

  it('Share link: one that is endlessly long is refused', () => {
    const error = errorOf(() => parseShareLink(`anytls://example.com/?x=${'y'.repeat(10_000)}`))
    expect(error.message).toContain('8192')
  })

  it('Share link: HOST:PORT is not taken for one', () => {
    expect(isShareLink('example.com:443')).toBe(false)
    expect(isShareLink('AnyTLS://example.com')).toBe(true)
  })
})

describe('share link: what is written', () => {
  it('Share link: a link with everything has the official form and hpkp', () => {
    const link: ShareLink = {
      host: '::1',
      port: 8443,
      password: "p@ss'w:rd",
      sni: 'example.com',
      insecure: true,
      pin: 'ab'.repeat(32),
      alpn: ['h2', 'http/1.1'],
      name: 'My server',
    }
    expect(formatShareLink(link)).toBe(
      `anytls://p%40ss%27w%3Ard@[::1]:8443/?sni=example.com&insecure=1&hpkp=${'ab'.repeat(32)}` +
        '&alpn=h2,http%2F1.1#My%20server',
    )
  })

  it('Share link: whatever is written is read back the same', () => {
    const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 })
    const links = fc.record(
      {
        host: fc.oneof(fc.domain(), fc.ipV4(), fc.constant('2001:db8::1')),
        port: fc.integer({ min: 1, max: 65_535 }),
        insecure: fc.boolean(),
        password: text,
        sni: fc.domain(),
        pin: fc.stringMatching(/^[0-9a-f]{64}$/),
        alpn: fc.array(fc.constantFrom('h2', 'http/1.1', 'h3'), { minLength: 1, maxLength: 3 }),
        name: text,
      },
      { requiredKeys: ['host', 'port', 'insecure'] },
    )
    fc.assert(
      fc.property(links, (link) => {
        expect(parseShareLink(formatShareLink(link))).toEqual(link)
      }),
    )
  })

  it('Share link: any text gives a link or an ERR_LINK_INVALID, and nothing else', () => {
    const piece = fc.oneof(
      fc.constantFrom('@', ':', '/', '?', '#', '[', ']', '%', '&', '=', 'sni', 'insecure', '%zz'),
      fc.string({ unit: 'binary', maxLength: 10 }),
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 20 }), (pieces) => {
        try {
          parseShareLink(`anytls://${pieces.join('')}`)
        } catch (error) {
          expect(error).toMatchObject({ code: 'ERR_LINK_INVALID' })
        }
      }),
    )
  })
})
