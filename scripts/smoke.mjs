// What the parts of the package without TLS do in runtimes other than Node, of the built package: bytes, shaping, and both
// multiplexers over a pair of Duplexes. Ends with exit code 0, or with the first error.
import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { Duplex } from 'node:stream'
import { decodeAddress, decodeVarint, encodeAddress, encodeVarint } from '../dist/codec.js'
import { muxProClient, muxProServer } from '../dist/muxpro.js'
import { netMuxClient, netMuxServer } from '../dist/netmux.js'
import { DEFAULT_SCHEME, simulate, WIRES, WORKLOADS } from '../dist/shaping.js'

const address = { host: 'example.com', port: 443 }
assert.equal(decodeVarint(encodeVarint(123_456n)).value, 123_456n)
assert.deepEqual(decodeAddress(encodeAddress(address)).address, address)

const { wire, workload } = { wire: WIRES.v1, workload: WORKLOADS.handshake }
const { runs } = simulate({ scheme: DEFAULT_SCHEME, wire, workload, runs: 10 })
assert.equal(runs.length, 10)

await exchange('net-mux', netMuxClient, netMuxServer)
await exchange('Mux.Pro', muxProClient, muxProServer)
console.log('1 passed, 0 failed, 0 skipped')

/** 256 KiB and back, on four streams at once. */
async function exchange(name, makeClient, makeServer) {
  const [near, far] = duplexPair()
  const client = makeClient(near)
  makeServer(far).on('stream', (stream) => stream.pipe(stream))
  const sent = Buffer.from(new Uint8Array(1 << 18).map((_, index) => index % 251))
  const exchangeOne = async () => {
    const stream = client.openStream({ target: address })
    stream.write(sent)
    const chunks = []
    let length = 0
    for await (const chunk of stream) {
      chunks.push(chunk)
      length += chunk.length
      if (length >= sent.length) break
    }
    assert.ok(Buffer.concat(chunks).equals(sent), name)
  }
  await Promise.all(Array.from({ length: 4 }, exchangeOne))
  await client.close()
}

/** Two ends that hand each other what is written. */
function duplexPair() {
  const held = []
  const ends = [0, 1].map((index) => {
    return new Duplex({
      read: () => {
        const done = held[index]
        held[index] = undefined
        done?.()
      },
      write: (chunk, _, done) => {
        const goesOn = ends[1 - index].push(chunk)
        if (goesOn) done()
        else held[1 - index] = done
      },
      final: (done) => {
        ends[1 - index].push(null)
        done()
      },
    })
  })
  return ends
}
