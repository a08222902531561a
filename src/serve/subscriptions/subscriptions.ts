// Subscriptions: an address of each user's own where apps ask for the server's link and what is left of the quota.
// Must never log a path, or let anything on the way keep an answer.
import type { PrivatePages } from '../../fallback/private-pages.ts'
import type { SiteAnswer, SiteRequest } from '../../fallback/site-answer.ts'
import { formatShareLink } from '../share-link.ts'
import { usageIn } from '../usage/ledger.ts'
import type { ServerEndpoint, UserStore } from '../users/store.ts'
import { linkTo, subscriptionUrl } from '../users/user-link.ts'
import { isActive } from '../users/user.ts'
import type { User } from '../users/user.ts'
import { mihomoConfig, singBoxConfig } from './configs.ts'
import { PAGE_POLICY, subscriptionPage } from './page.ts'

export interface SubscriptionsOptions {
  readonly store: Pick<UserStore, 'users' | 'usage'>
  /** Where links lead, and the certificate of the server, PEM. */
  readonly endpoint: () => ServerEndpoint
  readonly certificate: () => string
  /** Takes into the counts what has been carried since. */
  readonly count: () => void
}

/** What `format` of the query can be. */
type Format = 'base64' | 'clash' | 'sing-box' | 'html'

const FORMATS: ReadonlyMap<string, Format> = new Map([
  ['base64', 'base64'],
  ['clash', 'clash'],
  ['mihomo', 'clash'],
  ['sing-box', 'sing-box'],
  ['html', 'html'],
])

/** As long as any path of a subscription and one character more; what is longer takes no longer. */
const LOOKED_AT = 65

/** How often apps are to look again, in hours. */
const UPDATE_INTERVAL = 12

/** To be given to `createFallback` as `privatePages`. */
export class Subscriptions implements PrivatePages {
  readonly #options: SubscriptionsOptions

  constructor(options: SubscriptionsOptions) {
    this.#options = options
  }

  has(target: string): boolean {
    return this.#find(target) !== undefined
  }

  answer(request: SiteRequest): SiteAnswer {
    const { method, target, headers } = request
    const user = this.#find(target)
    if (user?.password === undefined || user.subscription === undefined) return empty(404)
    if (method !== 'GET' && method !== 'HEAD') return empty(405, { Allow: 'GET, HEAD' })
    const format = formatOf(target, headers['user-agent'] ?? '', headers.accept ?? '')
    const { type, text } = this.#write(format, user, user.password, user.subscription)
    const body = Buffer.from(text)
    return {
      status: 200,
      headers: {
        'Content-Type': type,
        'Content-Length': body.length,
        'Cache-Control': 'no-store',
        'Referrer-Policy': 'no-referrer',
        'X-Content-Type-Options': 'nosniff',
        'Content-Security-Policy': PAGE_POLICY,
        'Subscription-Userinfo': this.#userInfo(user),
        'Profile-Update-Interval': UPDATE_INTERVAL,
        'Profile-Title': `base64:${base64(nameAt(this.#options.endpoint(), user))}`,
      },
      body: method === 'HEAD' ? undefined : body,
    }
  }

  #find(target: string): User | undefined {
    const path = /^\/([^?#]*)/.exec(target.slice(0, LOOKED_AT + 1))?.[1] ?? ''
    const user = this.#options.store.users.subscriber(path)
    return user !== undefined && isActive(user, Date.now()) ? user : undefined
  }

  #write(
    format: Format,
    user: User,
    password: string,
    subscription: string,
  ): { readonly type: string; readonly text: string } {
    const endpoint = this.#options.endpoint()
    const link = { ...linkTo(endpoint, password), name: nameAt(endpoint, user) }
    switch (format) {
      case 'base64':
        return { type: 'text/plain; charset=utf-8', text: base64(`${formatShareLink(link)}\n`) }
      case 'clash':
        return { type: 'text/yaml; charset=utf-8', text: mihomoConfig(link) }
      case 'sing-box':
        return {
          type: 'application/json',
          text: singBoxConfig(link, this.#options.certificate()),
        }
      case 'html': {
        const { name, quota, expires } = user
        const url = subscriptionUrl(endpoint, subscription)
        const text = subscriptionPage({
          ...{ name, quota, expires, url, server: endpoint.host, link: formatShareLink(link) },
          ...this.#used(user),
        })
        return { type: 'text/html; charset=utf-8', text }
      }
    }
  }

  /** In the period of the quota, where there is one. */
  #used({ id, quota }: User) {
    this.#options.count()
    return usageIn(this.#options.store.usage, id, quota?.per ?? 'all', Date.now())
  }

  /** What apps show of a quota; for them 0 is no limit. Some want all four. */
  #userInfo(user: User): string {
    const { up, down } = this.#used(user)
    const expires = Math.floor((user.expires ?? 0) / 1_000)
    return `upload=${up}; download=${down}; total=${user.quota?.bytes ?? 0}; expire=${expires}`
  }
}

/** As `?format=` says, else as the program can be expected to want it. */
function formatOf(target: string, program: string, accepted: string): Format {
  const query = target.split('#', 1)[0]?.split('?').slice(1).join('?')
  const asked = FORMATS.get(new URLSearchParams(query).get('format') ?? '')
  if (asked !== undefined) return asked
  if (/clash|mihomo|stash/i.test(program)) return 'clash'
  if (/sing-box|\bSF[AIMT]\b/i.test(program)) return 'sing-box'
  return /^Mozilla\//.test(program) && accepted.includes('text/html') ? 'html' : 'base64'
}

/** Tells servers apart in an app, and is no name that a program has for something of its own. */
function nameAt({ host }: ServerEndpoint, { name }: User): string {
  return `${name}@${host}`
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64')
}

function empty(status: number, headers: Record<string, string> = {}): SiteAnswer {
  return { status, headers: { 'Content-Length': 0, ...headers }, body: undefined }
}
