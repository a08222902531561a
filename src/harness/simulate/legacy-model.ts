// The original wire as the shaping harness sees it: which Delivers become of an application's writes.
import { authDeliver, controlDeliver, dataDelivers } from './wire-model.ts'
import type { ModelDeliver, WireModel } from './wire-model.ts'
import { IMPLEMENTATION } from '../../version.ts'
import {
  encodeServerSettings,
  encodeSettings,
  PADDING_FORMAT,
} from '../../wires/legacy/frame-encoder.ts'
import { AUTH_HEAD_LENGTH, HEAD_LENGTH, MAX_PAYLOAD } from '../../wires/legacy/frame.ts'
import { encodeClientSettingsText, encodeServerSettingsText } from '../../wires/legacy/settings.ts'

/**
 * Our own client and server in version 2. SYN leaves with the first data of its stream, as the settings do;
 * alone when there is none in the event that opens, as after the hold.
 * The wire has no half-close: a client's end sends nothing, a server's is FIN.
 */
export const LEGACY_WIRE = Object.freeze<WireModel>({
  name: 'legacy',
  padding: PADDING_FORMAT,
  padControl: false,
  connect(schemeDigest, authPadding) {
    let begun = false
    return (event) => {
      const delivers: ModelDeliver[] = []
      const data = dataDelivers(event, MAX_PAYLOAD, () => HEAD_LENGTH)
      if (event.open) {
        let held = HEAD_LENGTH
        if (!begun) {
          const padding = authPadding()
          delivers.push(authDeliver(AUTH_HEAD_LENGTH + padding, padding, false))
          held += encodeSettings(encodeClientSettingsText(IMPLEMENTATION, schemeDigest)).length
        }
        const first = data.shift()
        delivers.push(
          first === undefined
            ? controlDeliver('up', held, true)
            : { ...first, bytes: held + first.bytes, opens: true },
        )
        if (!begun) {
          delivers.push(
            controlDeliver('down', encodeServerSettings(encodeServerSettingsText()).length),
          )
        }
        // SYNACK.
        delivers.push(controlDeliver('down', HEAD_LENGTH))
        begun = true
      }
      delivers.push(...data)
      if (event.end && event.direction === 'down')
        delivers.push(controlDeliver('down', HEAD_LENGTH))
      return delivers
    }
  },
})
