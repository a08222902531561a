// A program of its own, with --expose-gc: opens streams and ends them, and prints how many bytes of the old generation
// each has taken up between full collections.
import { getHeapSpaceStatistics } from 'node:v8'
import { connect, createServer } from '../../../src/index.ts'
import { makeTestCertificate } from '../../support/certificate.ts'

const STREAMS = 3_000
const ROUNDS = 5
const AT_ONCE = 8

const collect = (globalThis as { gc?: () => void }).gc
if (collect === undefined) throw new Error('must run with --expose-gc')

function oldGeneration(): number {
  const space = getHeapSpaceStatistics().find(({ space_name }) => space_name === 'old_space')
  return space?.space_used_size ?? NaN
}

const { key, cert } = await makeTestCertificate()
const server = createServer({ key, cert, password: 'garbage' }, (stream) => {
  stream.on('error', () => {})
  stream.on('data', () => stream.end(Buffer.alloc(1_100)))
})
await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
const { port } = server.address() as { port: number }
const session = await connect({ host: '127.0.0.1', port, password: 'garbage', insecure: true })

const bytes: number[] = []
let opened = 0
let before = 0

// By events alone: what awaits in a loop keeps things of its own.
function next(): void {
  if (opened % STREAMS === 0) {
    if (opened > 0) bytes.push(Math.round((oldGeneration() - before) / STREAMS))
    collect?.()
    before = oldGeneration()
  }
  if (opened === ROUNDS * STREAMS) {
    console.log(JSON.stringify({ bytes }))
    process.exit()
  }
  opened += 1
  const stream = session.openStream()
  stream.on('error', () => {})
  stream.on('data', () => {})
  stream.once('close', next)
  stream.end('question')
}
for (let started = 0; started < AT_ONCE; started += 1) next()
