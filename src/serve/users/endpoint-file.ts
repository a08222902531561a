// Where the server that used a users file last can be reached, in a file beside it: for the links of its users.
import { isObject } from '../json.ts'
import { readTextFileIfThere, writePrivateFile } from '../files.ts'
import type { ServerEndpoint } from './store.ts'

/** @throws AnyTlsError `ERR_FILE` when it cannot be written */
export function writeEndpoint(usersFile: string, endpoint: ServerEndpoint): void {
  const file = fileOf(usersFile)
  const text = `${JSON.stringify(endpoint)}\n`
  if (readTextFileIfThere(file, 'endpoint file') !== text) writePrivateFile(file, text)
}

/** `undefined` when there is none that can be used. */
export function readEndpoint(usersFile: string): ServerEndpoint | undefined {
  try {
    return parseEndpoint(readTextFileIfThere(fileOf(usersFile), 'endpoint file') ?? '')
  } catch {
    return undefined
  }
}

/** `undefined` for what is none. */
export function parseEndpoint(text: string): ServerEndpoint | undefined {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    return undefined
  }
  if (!isObject(json)) return undefined
  const { host, port, sni, pin } = json
  if (typeof host !== 'string' || typeof port !== 'number') return undefined
  return {
    host,
    port,
    sni: typeof sni === 'string' ? sni : undefined,
    pin: typeof pin === 'string' ? pin : undefined,
  }
}

function fileOf(usersFile: string): string {
  return `${usersFile}.endpoint`
}
