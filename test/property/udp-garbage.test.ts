import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CloseCode } from '../../src/engine/close-code.ts'
import { serveProxyStream } from '../../src/proxy/outbound/serve-stream.ts'
import type { ProxyStreamEvent } from '../../src/proxy/outbound/serve-target.ts'
import { decodeSocks5Datagram, encodeSocks5Datagram } from '../../src/proxy/udp/socks5-datagram.ts'
import { encodeAddress } from '../../src/codec/address.ts'
import { UdpOverTcpHost } from '../../src/codec/udp-over-tcp.ts'
import { streamPair } from '../proxy/support.ts'

const anyBytes = fc.uint8Array({ maxLength: 600 })
const anyHost = fc.constantFrom(...Object.values(UdpOverTcpHost))
// Fronts of good streams, so that garbage gets further: a request of either form, some packets.
const anyFront = fc.constantFrom(
  '',
  '000100000000' + '0000',
  '01017f0000010009',
  '007f00000100090000',
)

describe('UDP over TCP and SOCKS5 datagrams, garbage', () => {
  it('random bytes on a stream for datagrams end it with code 3, or are taken, and nothing is sent', async () => {
    await fc.assert(
      fc.asyncProperty(
        anyHost,
        anyFront,
        fc.array(anyBytes, { maxLength: 4 }),
        async (host, front, chunks) => {
          const [client, server] = streamPair()
          client.on('error', () => {})
          const events: ProxyStreamEvent[] = []
          const over = serveProxyStream(server, {
            // Nothing may leave this machine.
            allowTarget: () => false,
            observe: (event) => events.push(event),
          })
          client.write(encodeAddress({ host, port: 0 }))
          client.write(Buffer.from(front, 'hex'))
          for (const chunk of chunks) client.write(chunk)
          client.resume().end()
          await over
          const closed = events.at(-1)
          if (closed?.type !== 'udp-closed') throw new Error('the end was not reported')
          expect(closed.counts).toMatchObject({ sent: 0, received: 0, failed: 0 })
          const codes = server.resets.map(({ code }) => code)
          expect(codes).toEqual(closed.error === undefined ? [] : [CloseCode.ProtocolError])
        },
      ),
      { numRuns: 200 },
    )
  })

  it('random bytes are a datagram that is encoded as it was, or none', () => {
    fc.assert(
      fc.property(anyBytes, fc.boolean(), (bytes, plausible) => {
        if (plausible) bytes.set([0, 0, 0, 1].slice(0, bytes.length))
        const datagram = decodeSocks5Datagram(bytes)
        if (datagram === undefined) return
        const again = decodeSocks5Datagram(encodeSocks5Datagram(datagram))
        expect(again).toEqual(datagram)
      }),
      { numRuns: 1_000 },
    )
  })
})
