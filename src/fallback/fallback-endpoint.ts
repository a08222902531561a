// Where a fallback is, as people write it: `http://host:port`, `tcp://host:port`, `host:port`.
// Must never promise what a relay of bytes cannot do (speak TLS to the endpoint, change a path).
import { AnyTlsError, invalidOption } from '../errors.ts'
import type { Address } from '../codec/address.ts'
import { parseHostPort } from '../codec/host-port.ts'

/**
 * A TCP port that plaintext is relayed to. `http://` and `tcp://` are the same here: bytes are passed on as
 * they came, so what is spoken there is the endpoint's affair.
 */
export type FallbackEndpoint = Address

const HTTP_PORT = 80
const FORMS = 'write http://HOST:PORT, tcp://HOST:PORT or HOST:PORT'

/**
 * Parses `http://host[:port][/]` (port 80 when there is none), `tcp://host:port` or `host:port`. An IPv6
 * address stands in brackets.
 *
 * @throws AnyTlsError `ERR_OPTION_INVALID` for anything else, one line that says what is wrong
 */
export function parseFallbackEndpoint(text: string): FallbackEndpoint {
  const scheme = /^([a-z][a-z\d+.-]{0,15}):\/\//i.exec(text)?.[1]?.toLowerCase()
  const rest = scheme === undefined ? text : text.slice(scheme.length + '://'.length)
  switch (scheme) {
    case 'http':
      return parseEndpoint(rest.replace(/\/$/, ''), HTTP_PORT)
    case 'tcp':
    case undefined:
      return parseEndpoint(rest)
    case 'https':
      throw invalid('TLS to a fallback is not possible, for the plaintext is relayed as it is')
    default:
      throw invalid(`a fallback cannot be ${scheme}://`)
  }
}

function parseEndpoint(hostPort: string, defaultPort?: number): FallbackEndpoint {
  if (/[/?#]/.test(hostPort)) {
    throw invalid('a fallback has no path, for requests are relayed as they are')
  }
  const endpoint = parse(hostPort, defaultPort)
  if (endpoint.port === 0) throw invalid('a fallback cannot have port 0')
  return endpoint
}

function parse(hostPort: string, defaultPort?: number): FallbackEndpoint {
  try {
    return parseHostPort(hostPort, defaultPort)
  } catch (error) {
    if (!(error instanceof AnyTlsError)) throw error
    throw invalidOption(`fallback: ${error.message}`, { cause: error })
  }
}

function invalid(reason: string): AnyTlsError {
  return invalidOption(`${reason}: ${FORMS}`)
}
