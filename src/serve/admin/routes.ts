// What the admin server serves beside its page, each route with its description: here state, metrics and sessions.
import { AnyTlsError } from '../../errors.ts'
import { VERSION } from '../../version.ts'
import { isoTime } from '../users/user-view.ts'
import { json } from './answer.ts'
import { createMetrics } from './metrics.ts'
import type { SessionView } from './observer.ts'
import { describeRoutes } from './openapi.ts'
import type { DescribedRoute } from './openapi.ts'
import { paging, PAGING, reference, SCHEMAS, success, TEXT } from './route-schemas.ts'
import { userRoutes } from './user-routes.ts'
import type { UserRoutesOptions } from './user-routes.ts'

export interface ApiOptions extends UserRoutesOptions {
  readonly wantsToken: () => boolean
  /** Whether the server takes nobody new any more. */
  readonly isDraining: () => boolean
}

export function createRoutes(options: ApiOptions): readonly DescribedRoute[] {
  const routes: DescribedRoute[] = [
    ...serverRoutes(options),
    ...userRoutes(options),
    ...sessionRoutes(options),
    {
      method: 'GET',
      path: '/api/v1/openapi.json',
      summary: 'This description',
      success: success('The description.', { type: 'object' }),
      handle: () => json(describeRoutes(routes, SCHEMAS, options.wantsToken())),
    },
  ]
  return routes
}

function serverRoutes({ observer, store, isDraining }: ApiOptions): readonly DescribedRoute[] {
  const metrics = createMetrics(observer, store)
  const [metricsType = ''] = metrics.contentType.split(';')
  return [
    {
      method: 'GET',
      path: '/healthz',
      summary: 'Whether the server runs',
      success: {
        status: 200,
        description:
          'The word ok, or degraded: the place of the users is out of order, and those known before are served.' +
          ' A server that has been told to stop answers 503 with the word draining.',
        type: 'text/plain',
        schema: TEXT,
      },
      open: true,
      handle: () => {
        const [status, word] = isDraining()
          ? [503, 'draining']
          : [200, store?.trouble === undefined ? 'ok' : 'degraded']
        return { status, type: 'text/plain; charset=utf-8', body: `${word}\n` }
      },
    },
    {
      method: 'GET',
      path: '/metrics',
      summary: 'Metrics for Prometheus',
      success: {
        status: 200,
        description: 'In its text format.',
        type: metricsType,
        schema: TEXT,
      },
      handle: async () => ({
        status: 200,
        type: metrics.contentType,
        body: await metrics.metrics(),
      }),
    },
    {
      method: 'GET',
      path: '/api/v1/server',
      summary: 'State of the server',
      success: success('The state.', reference('Server')),
      handle: async () => {
        const { sessions, streams, carried, fallbacks, memory } = await observer.state()
        const { address, port } = observer.address()
        return json({
          version: VERSION,
          node: process.versions.node,
          started: isoTime(observer.started),
          address,
          port,
          users: store?.users.size ?? null,
          sessions,
          streams,
          ...carried,
          fallbacks,
          memory,
        })
      },
    },
  ]
}

function sessionRoutes({ observer }: ApiOptions): readonly DescribedRoute[] {
  const told = ({ id, user, remoteAddress, wire, started, streams, traffic }: SessionView) => ({
    id,
    user: user ?? null,
    remoteAddress: remoteAddress ?? null,
    wire,
    started: isoTime(started),
    streams,
    up: traffic?.up ?? null,
    down: traffic?.down ?? null,
  })
  return [
    {
      method: 'GET',
      path: '/api/v1/sessions',
      summary: 'Sessions of this server, the oldest first',
      query: PAGING,
      success: success('Those of the page, and how many there are.', reference('SessionList')),
      handle: async (call) => {
        const { limit, offset } = paging(call)
        const sessions = await observer.sessions()
        const page = sessions.slice(offset, offset + limit)
        return json({ total: sessions.length, sessions: page.map(told) })
      },
    },
    {
      method: 'DELETE',
      path: '/api/v1/sessions/{id}',
      summary: 'End a session; its client may come back',
      success: success('The session as it was.', reference('Session')),
      handle: async (call) => {
        const session = await observer.end(call.param('id'))
        if (session === undefined) throw new AnyTlsError('ERR_REQUEST_PATH', 'no such session')
        return json(told(session))
      },
    },
  ]
}
