// The target address that is the first data on a stream: the server's side of reading it.
// Must never lose what follows the address.
import type { Duplex } from 'node:stream'
import { AnyTlsError } from '../../errors.ts'
import type { Address } from '../../codec/address.ts'
import { decodeAddress } from '../../codec/address.ts'
import { concatBytes } from '../../codec/bytes.ts'
import { MAX_DELAY } from '../../session/clock.ts'

/** Options of {@link readTarget}. */
export interface ReadTargetOptions {
  /** Longest wait for the whole address, in ms. Default 10,000. */
  readonly timeout?: number
}

const DEFAULT_TIMEOUT = 10_000

/**
 * Reads the target from the front of `stream` and puts what follows back into it.
 *
 * @throws AnyTlsError `ERR_TARGET_INVALID` when it is no address or the stream ends inside it,
 * `ERR_STREAM_TIMEOUT`; an error of the stream itself is passed on
 */
export function readTarget(stream: Duplex, options: ReadTargetOptions = {}): Promise<Address> {
  const { timeout = DEFAULT_TIMEOUT } = options
  return new Promise((resolve, reject) => {
    // Shorter than an address: decodeAddress decides as soon as it has seen enough.
    let pending: Uint8Array = new Uint8Array(0)

    const release = () => {
      clearTimeout(timer)
      stream.off('readable', onReadable)
      stream.off('end', onEnd)
      stream.off('close', onEnd)
      stream.off('error', fail)
    }
    const fail = (error: Error) => {
      release()
      reject(error)
    }
    const onEnd = () => fail(new AnyTlsError('ERR_TARGET_INVALID'))
    const onReadable = () => {
      const chunk = stream.read() as Uint8Array | null
      if (chunk === null) return
      const bytes = pending.length > 0 ? concatBytes([pending, chunk]) : chunk
      let decoded
      try {
        decoded = decodeAddress(bytes)
      } catch (cause) {
        fail(new AnyTlsError('ERR_TARGET_INVALID', undefined, { cause }))
        return
      }
      if (decoded === undefined) {
        pending = bytes
        return
      }
      release()
      const rest = bytes.subarray(decoded.length)
      if (rest.length > 0) stream.unshift(rest)
      resolve(decoded.address)
    }

    const limit = Math.min(timeout, MAX_DELAY)
    const timer = setTimeout(() => fail(new AnyTlsError('ERR_STREAM_TIMEOUT')), limit)
    stream.on('readable', onReadable)
    stream.on('end', onEnd)
    stream.on('close', onEnd)
    stream.on('error', fail)
    if (stream.destroyed || stream.readableEnded) onEnd()
  })
}
