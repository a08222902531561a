// Key and certificate for the programs that benches start, as files.
import { X509Certificate, createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { makeTestCertificate } from '../test/support/certificate.ts'
import type { CertificateFiles } from './go-peer.ts'

export async function writeCertificateFiles(folder: string): Promise<CertificateFiles> {
  const { key, cert } = await makeTestCertificate()
  const files = { key: join(folder, 'key.pem'), cert: join(folder, 'cert.pem') }
  writeFileSync(files.key, key)
  writeFileSync(files.cert, cert)
  const pin = createHash('sha256').update(new X509Certificate(cert).raw).digest('hex')
  return { ...files, pin }
}
