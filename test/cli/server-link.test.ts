// What the share link of a running server says: where it is, and why its certificate can be trusted.

import { describe, expect, it } from 'vitest'
import type { ServerCertificate } from '../../src/serve/certificate.ts'
import { makeSelfSigned } from '../../src/serve/self-signed.ts'
import type { Address } from '../../src/codec/address.ts'
import { endpointOfServer } from '../../src/cli/server-link.ts'
import { linkTo } from '../../src/serve/users/user-link.ts'

const pin = 'ab'.repeat(32)
const base = { key: '', cert: '', fingerprint: pin, selfSigned: true }

const linkForServer = (
  address: Address,
  password: string,
  certificate: ServerCertificate,
  known?: Address,
) => linkTo(endpointOfServer(address, certificate, known), password)

describe('share link of a server', () => {
  it('Contract: a self-signed certificate is pinned, and the link is not insecure', () => {
    expect(linkForServer({ host: '192.0.2.1', port: 8443 }, 'secret', base)).toEqual({
      host: '192.0.2.1',
      port: 8443,
      password: 'secret',
      insecure: false,
      pin,
    })
  })

  it('a certificate of an authority is not pinned, for it will be renewed', async () => {
    const certificate = { ...base, ...(await makeSelfSigned(['a.example.com'])), selfSigned: false }
    const link = linkForServer({ host: 'a.example.com', port: 443 }, 'secret', certificate)
    expect(link).toEqual({ host: 'a.example.com', port: 443, password: 'secret', insecure: false })
  })

  it('an address that the certificate does not cover comes with a name that it does', async () => {
    const made = await makeSelfSigned(['a.example.com'])
    const cert = { ...base, ...made, selfSigned: false }
    expect(linkForServer({ host: '192.0.2.1', port: 443 }, 'secret', cert).sni).toBe('localhost')
    expect(linkForServer({ host: 'b.example.com', port: 443 }, 'secret', cert).sni).toBe(
      'localhost',
    )
  })

  it('all addresses of the machine are no place to connect to: one of them is named', () => {
    for (const host of ['0.0.0.0', '::']) {
      const link = linkForServer({ host, port: 443 }, 'secret', base)
      expect(link.host).not.toBe(host)
      expect(link.host).not.toBe('')
    }
  })

  it('--public-host: what clients are told, with a port of its own or the one that is bound', () => {
    const linkAt = (known: { host: string; port: number }) =>
      linkForServer({ host: '0.0.0.0', port: 8443 }, 'secret', base, known)
    expect(linkAt({ host: 'a.example', port: 0 })).toMatchObject({ host: 'a.example', port: 8443 })
    expect(linkAt({ host: 'a.example', port: 443 })).toMatchObject({ host: 'a.example', port: 443 })
  })
})
