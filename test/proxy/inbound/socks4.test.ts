import { describe, expect, it } from 'vitest'
import { Socks4Handshake } from '../../../src/proxy/inbound/socks4.ts'
import { fromHex, toHex } from '../../codec/vectors.ts'

/** What a handshake makes of `bytes`, given in pieces of `size`, each gone by the time the next comes. */
function outcome(hex: string, size = 1_000, hasPassword = false) {
  const handshake = new Socks4Handshake(hasPassword)
  const bytes = fromHex(hex)
  const events = []
  for (let at = 0; at < bytes.length; at += size) {
    const piece = bytes.slice(at, at + size)
    events.push(...handshake.receive(piece))
    piece.fill(0)
  }
  return events
}

const hexOf = (text: string) => Buffer.from(text).toString('hex')

describe('SOCKS4 handshake', () => {
  it('an address, and with 4a a name, in whatever pieces they come', () => {
    for (const size of [1, 2, 9, 1_000]) {
      const [plain] = outcome(`04010050c0000201${hexOf('me')}00`, size)
      expect(plain).toMatchObject({ type: 'connect', target: { host: '192.0.2.1', port: 80 } })
      const [named] = outcome(`040101bb0000000100${hexOf('a.test')}00`, size)
      expect(named).toMatchObject({ type: 'connect', target: { host: 'a.test', port: 443 } })
    }
  })

  it('what follows the request is handed on; a UTF-8 name becomes ASCII', () => {
    const [event] = outcome(`04010050000000010062c3bc2e7465737400${hexOf('early')}`)
    expect(event).toMatchObject({ target: { host: 'xn--b-eha.test', port: 80 } })
    expect(event?.type === 'connect' && toHex(event.rest)).toBe(hexOf('early'))
  })

  it('BIND, a password that is wanted, endless texts and bad names are rejected', () => {
    const long = '61'.repeat(300)
    for (const events of [
      outcome('04020050c000020100'),
      outcome('04010050c000020100', 1_000, true),
      outcome(`04010050c0000201${long}`, 10),
      outcome(`040100500000000100${long}`, 10),
      outcome('04010050000000010000'),
      outcome('040100500000000100ff00'),
    ]) {
      expect(events.map(({ type }) => type)).toEqual(['send', 'refuse'])
      expect(events[0]?.type === 'send' && toHex(events[0].bytes)).toBe('005b000000000000')
    }
  })

  it('a request that is not complete waits', () => {
    expect(outcome('04010050c0000201')).toEqual([])
    expect(outcome(`040100500000000100${hexOf('a.test')}`)).toEqual([])
  })
})
