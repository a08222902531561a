// The certificate that the server makes for itself, and how files that do not fit are refused.

import { createHash, X509Certificate } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { keptCertificate, readCertificate } from '../../src/serve/certificate.ts'
import { makeSelfSigned } from '../../src/serve/self-signed.ts'

const root = mkdtempSync(join(tmpdir(), 'certificate-'))
let count = 0
let folder = ''
beforeEach(() => {
  folder = join(root, `state-${++count}`)
})
afterAll(() => rmSync(root, { recursive: true }))

describe('certificate: self-signed', () => {
  it('is P-256, valid for ten years, names localhost and the hosts, and nothing tells what it is', async () => {
    const { cert, fingerprint, selfSigned } = await keptCertificate(folder, [
      'proxy.example.com',
      '127.0.0.1',
      '::1',
    ])
    const certificate = new X509Certificate(cert)
    expect(certificate.publicKey.asymmetricKeyDetails?.namedCurve).toBe('prime256v1')
    expect(certificate.subject).toBe('CN=localhost')
    expect(certificate.subjectAltName).toBe(
      'DNS:localhost, DNS:proxy.example.com, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1',
    )
    const years = (Date.parse(certificate.validTo) - Date.now()) / (365.25 * 24 * 60 * 60 * 1000)
    expect(years).toBeGreaterThan(9.9)
    expect(years).toBeLessThan(10)
    expect(Date.parse(certificate.validFrom)).toBeLessThan(Date.now())
    expect(certificate.toString().toLowerCase()).not.toContain('anytls')
    expect(fingerprint).toBe(createHash('sha256').update(certificate.raw).digest('hex'))
    expect(selfSigned).toBe(true)
  })

  it('is kept and used again, whatever the hosts are then', async () => {
    const first = await keptCertificate(folder, [])
    const second = await keptCertificate(folder, ['other.example.com'])
    expect(second).toEqual(first)
    expect(readdirSync(folder)).toEqual(['certificate.pem', 'server.pem'])
    expect(readFileSync(join(folder, 'certificate.pem'), 'utf8')).toBe(first.cert)
  })

  it('is one for servers that start at the same time', async () => {
    const made = await Promise.all(Array.from({ length: 4 }, () => keptCertificate(folder, [])))
    const kept = await keptCertificate(folder, [])
    for (const { fingerprint } of made) expect(fingerprint).toBe(kept.fingerprint)
    expect(readdirSync(folder)).toEqual(['certificate.pem', 'server.pem'])
  })

  it.skipIf(process.platform === 'win32')(
    'is for nobody else to read (only where files have modes)',
    async () => {
      await keptCertificate(folder, [])
      expect(statSync(folder).mode & 0o777).toBe(0o700)
      expect(statSync(join(folder, 'server.pem')).mode & 0o777).toBe(0o600)
    },
  )

  it('is never replaced: a damaged file is refused and stays as it is', async () => {
    await keptCertificate(folder, [])
    const file = join(folder, 'server.pem')
    const whole = readFileSync(file, 'utf8')
    const other = await makeSelfSigned([])
    const damages = {
      'holds no usable certificate': '',
      'holds no usable private key': whole.slice(0, -30),
      'is not that of': other.cert + whole.slice(whole.indexOf('-----BEGIN PRIVATE')),
    }
    for (const [problem, damaged] of Object.entries(damages)) {
      writeFileSync(file, damaged)
      await expect(keptCertificate(folder, [])).rejects.toMatchObject({
        code: 'ERR_FILE',
        message: expect.stringMatching(
          new RegExp(`^[^\\n]*${problem}[^\\n]*delete it[^\\n]*$`),
        ) as unknown,
      })
      expect(readFileSync(file, 'utf8')).toBe(damaged)
    }
  })

  it('an expired one is refused by name', async () => {
    const expired = await makeSelfSigned([], Date.now() - 11 * 366 * 24 * 60 * 60 * 1000)
    await keptCertificate(folder, [])
    writeFileSync(join(folder, 'server.pem'), expired.cert + expired.key)
    await expect(keptCertificate(folder, [])).rejects.toThrow(/has expired/)
  })

  it('a state folder that cannot be made is refused in one line', async () => {
    writeFileSync(folder, 'a file in its place')
    await expect(keptCertificate(folder, [])).rejects.toMatchObject({
      code: 'ERR_FILE',
      message: expect.not.stringContaining('\n') as unknown,
    })
  })
})

describe('certificate: --cert and --key', () => {
  it('a pair that fits is taken', async () => {
    const { cert, key } = await makeSelfSigned([])
    expect(readCertificate(...files(cert, key))).toMatchObject({ cert, key, selfSigned: true })
  })

  it('a key of another certificate, files that hold neither and missing ones are refused', async () => {
    const { cert, key } = await makeSelfSigned([])
    const other = await makeSelfSigned([])
    expect(() => readCertificate(...files(cert, other.key))).toThrow(/is not that of/)
    expect(() => readCertificate(...files('nonsense', key))).toThrow(/no usable certificate$/)
    expect(() => readCertificate(...files(cert, 'nonsense'))).toThrow(/no usable private key$/)
    expect(() => readCertificate(join(root, 'none'), join(root, 'key.pem'))).toThrow(
      /cannot read certificate file .*no such file/,
    )
  })
})

function files(cert: string, key: string): [string, string] {
  const paths: [string, string] = [join(root, 'cert.pem'), join(root, 'key.pem')]
  writeFileSync(paths[0], cert)
  writeFileSync(paths[1], key)
  return paths
}
