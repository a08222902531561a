// The bench server: a process of its own that serves every peer and answers questions about its memory.
import { makeTestCertificate } from '../test/support/certificate.ts'
import { serveStream } from './peer.ts'
import { PEER_KEYS, peerOf } from './peers/index.ts'

const credentials = await makeTestCertificate()
const ports: Record<string, number> = {}
for (const key of PEER_KEYS) ports[key] = await peerOf(key).listen(credentials, serveStream)

process.on('message', () => {
  globalThis.gc?.()
  process.send?.(process.memoryUsage())
})
process.on('disconnect', () => process.exit(0))
process.send?.(ports)
