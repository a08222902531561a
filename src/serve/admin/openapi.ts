// The OpenAPI document of the admin server, made of its routes.
import { VERSION } from '../../version.ts'
import type { Route } from './router.ts'

/** A JSON schema (draft 2020-12). */
export type Schema = Readonly<Record<string, unknown>>

/** A route, and what its description says of it. */
export interface DescribedRoute extends Route {
  readonly summary: string
  readonly query?: Readonly<
    Record<string, { readonly description: string; readonly schema: Schema }>
  >
  readonly body?: Schema
  readonly success: {
    readonly status: number
    readonly description: string
    /** Of a JSON body. */
    readonly schema?: Schema
    /** Of a body that is no JSON. */
    readonly type?: string
  }
  /** Whoever asks is answered, without a token. */
  readonly open?: boolean
}

/** What every path parameter is. */
const PARAMETER: Schema = { type: 'string', minLength: 1 }

const ERROR: Schema = {
  type: 'object',
  properties: {
    error: {
      type: 'object',
      properties: {
        code: { type: 'string', pattern: '^ERR_[A-Z_]+$', description: 'Stable.' },
        message: { type: 'string', description: 'One line for people.' },
      },
      required: ['code', 'message'],
    },
  },
  required: ['error'],
}

/** @param schemas named ones, for `#/components/schemas/` */
export function describeRoutes(
  routes: readonly DescribedRoute[],
  schemas: Readonly<Record<string, Schema>>,
  wantsToken: boolean,
): object {
  const paths: Record<string, Record<string, unknown>> = {}
  for (const route of routes) {
    const operations = (paths[route.path] ??= {})
    operations[route.method.toLowerCase()] = describe(route, wantsToken)
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'anytls admin',
      version: VERSION,
      description:
        'Users, sessions and state of a server. Amounts are bytes, times are in UTC. Every error is JSON with a stable code.',
    },
    servers: [{ url: '/' }],
    paths,
    components: {
      schemas: { ...schemas, Error: ERROR },
      ...(wantsToken && { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } }),
    },
  }
}

function describe(route: DescribedRoute, wantsToken: boolean): object {
  const { path, summary, query = {}, body, success, open = false } = route
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => {
    return { name, in: 'path', required: true, schema: PARAMETER }
  })
  const inQuery = Object.entries(query).map(([name, rest]) => ({ name, in: 'query', ...rest }))
  const { status, description, schema, type = 'application/json' } = success
  const problem = jsonOf({ $ref: '#/components/schemas/Error' })
  return {
    summary,
    parameters: [...inPath, ...inQuery],
    ...(body && { requestBody: { required: true, content: jsonOf(body) } }),
    responses: {
      [status]: { description, content: { [type]: schema === undefined ? {} : { schema } } },
      default: { description: 'It failed.', content: problem },
    },
    ...(wantsToken && !open && { security: [{ token: [] }] }),
  }
}

function jsonOf(schema: Schema): object {
  return { 'application/json': { schema } }
}
