// ANYTLS v1 as the shaping harness sees it: which Delivers become of an application's writes (D28, D29).
import { controlDeliver, authDeliver, dataDelivers } from './wire-model.ts'
import type { ModelDeliver, WireModel } from './wire-model.ts'
import { IMPLEMENTATION } from '../../version.ts'
import { DEFAULT_WINDOW } from '../../wires/anytls/config.ts'
import {
  encodeAuth,
  encodeClientNego,
  encodeDataHead,
  encodeServerNego,
  encodeStream,
  encodeStreamAck,
  encodeStreamFin,
  PADDING_FORMAT,
} from '../../wires/anytls/frame-encoder.ts'
import { PASSWORD_HASH_LENGTH } from '../../codec/same-bytes.ts'
import { MAX_PAYLOAD, StreamFlag } from '../../wires/anytls/frame.ts'
import {
  encodeClientNegoBlock,
  encodeServerNegoBlock,
  SUPPORTED_VERSIONS,
} from '../../wires/anytls/nego.ts'

/** Our own client and server, with mux1 on both sides; STREAM_CREDIT is left out. */
export const V1_WIRE = Object.freeze<WireModel>({
  name: 'v1',
  padding: PADDING_FORMAT,
  padControl: true,
  connect(schemeDigest, authPadding) {
    let begun = false
    return (event) => {
      const { stream, direction } = event
      const delivers: ModelDeliver[] = []
      if (event.open) {
        const open = encodeStream(stream, StreamFlag.Open).length
        if (begun) {
          delivers.push(controlDeliver('up', open, true))
        } else {
          const padding = authPadding()
          const first = authLength(padding) + clientNegoLength(schemeDigest) + open
          delivers.push(authDeliver(first, padding, true))
          delivers.push(controlDeliver('down', serverNegoLength()))
          begun = true
        }
      }
      delivers.push(
        ...dataDelivers(event, MAX_PAYLOAD, (payload) => encodeDataHead(stream, payload).length),
      )
      if (event.open) delivers.push(controlDeliver('down', encodeStreamAck(stream).length))
      if (event.end) delivers.push(controlDeliver(direction, encodeStreamFin(stream).length))
      return delivers
    }
  },
})

function authLength(padding: number): number {
  return encodeAuth(new Uint8Array(PASSWORD_HASH_LENGTH), padding).length
}

function clientNegoLength(schemeDigest: string): number {
  const block = encodeClientNegoBlock({
    versions: SUPPORTED_VERSIONS,
    client: IMPLEMENTATION,
    schemeDigest,
    mux1Window: DEFAULT_WINDOW,
  })
  return encodeClientNego(block).length
}

function serverNegoLength(): number {
  const [version = 1] = SUPPORTED_VERSIONS
  const server = IMPLEMENTATION
  const block = encodeServerNegoBlock({ version, server, mux1Window: DEFAULT_WINDOW })
  return encodeServerNego(block).length
}
