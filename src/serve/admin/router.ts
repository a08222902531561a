// Which route a request is for, and what of it the route is given.
import { AnyTlsError } from '../../errors.ts'
import type { Answer } from './answer.ts'

type Method = 'GET' | 'POST' | 'PATCH' | 'DELETE'

/** A request as a route sees it. */
export interface Call {
  /** The value of a `{parameter}` in the path. */
  param(name: string): string
  /** The value of a parameter behind the `?`. @throws AnyTlsError `ERR_REQUEST_INVALID` when it stands there twice */
  query(name: string): string | undefined
  /** The body, which must be JSON. @throws AnyTlsError rejects with `ERR_REQUEST_…` */
  body(): Promise<unknown>
}

export interface Route {
  readonly method: Method
  /** `/api/v1/users/{name}`. */
  readonly path: string
  handle(call: Call): Answer | Promise<Answer>
}

/** A route, and what the path of the request says; or the methods that its path has. */
type Match<R extends Route> =
  | { readonly route: R; readonly params: ReadonlyMap<string, string> }
  | { readonly allowed: readonly string[] }

export class Router<R extends Route> {
  readonly #routes: readonly { readonly route: R; readonly segments: readonly string[] }[]

  constructor(routes: readonly R[]) {
    this.#routes = routes.map((route) => ({ route, segments: route.path.split('/') }))
  }

  /**
   * @param path of the request, without its query
   * @throws AnyTlsError `ERR_REQUEST_PATH`, `ERR_REQUEST_INVALID` for a path that is badly encoded
   */
  match(method: string, path: string): Match<R> {
    // Split before it is decoded: %2F is a part of its segment.
    const segments = path.split('/').map(decode)
    const found = this.#routes.flatMap(({ route, segments: pattern }) => {
      const params = matchSegments(pattern, segments)
      return params === undefined ? [] : [{ route, params }]
    })
    if (found.length === 0) throw new AnyTlsError('ERR_REQUEST_PATH')
    const wanted = method === 'HEAD' ? 'GET' : method
    const match = found.find(({ route }) => route.method === wanted)
    if (match !== undefined) return match
    const methods = found.map(({ route }) => route.method)
    return { allowed: methods.includes('GET') ? [...methods, 'HEAD'] : methods }
  }
}

/** Path and query of a request's target. */
export function splitTarget(target: string): [path: string, query: URLSearchParams] {
  const at = target.indexOf('?')
  if (at < 0) return [target, new URLSearchParams()]
  return [target.slice(0, at), new URLSearchParams(target.slice(at + 1))]
}

function matchSegments(
  pattern: readonly string[],
  segments: readonly string[],
): ReadonlyMap<string, string> | undefined {
  if (pattern.length !== segments.length) return undefined
  const params = new Map<string, string>()
  for (const [index, part] of pattern.entries()) {
    const segment = segments[index] ?? ''
    const [, name] = /^\{(\w+)\}$/.exec(part) ?? []
    if (name === undefined ? part !== segment : segment === '') return undefined
    if (name !== undefined) params.set(name, segment)
  }
  return params
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    throw new AnyTlsError('ERR_REQUEST_INVALID', 'the path is badly encoded')
  }
}
