// `uniproxy+https://PANEL?node_id=N`: which panel, as which node, and where its token stands.
// Must never hold the token where the place is shown.
import { isLoopback } from '../../codec/network.ts'
import { invalidOption } from '../../errors.ts'
import type { AnyTlsError } from '../../errors.ts'
import { readSecretFile } from '../files.ts'

/** Where the token of the panel stands, unless the place names a file. */
const PANEL_TOKEN_VARIABLE = 'ANYTLS_PANEL_TOKEN'

export interface PanelPlace {
  /** As it may be shown. */
  readonly shown: string
  /** The panel's address, with a path where it has one, and no slash at its end. */
  readonly base: URL
  readonly node: string
  readonly tokenFile: string | undefined
  /** Whether its users may reach private addresses. */
  readonly allowPrivate: boolean
}

const PARAMETERS = new Set(['node_id', 'allow-private', 'token-file'])

/**
 * Reads the place that `--users` names.
 *
 * @throws AnyTlsError `ERR_OPTION_INVALID`, without a part of the text: it may hold the token
 */
export function parsePanelPlace(text: string): PanelPlace {
  const rest = text.replace(/^uniproxy\+/i, '')
  if (!URL.canParse(rest)) throw invalid('it is no URL')
  const base = new URL(rest)
  const parameters = base.searchParams
  if (parameters.has('token') || base.username !== '' || base.password !== '') {
    throw invalid(
      `the token does not belong here, where others see it: ${PANEL_TOKEN_VARIABLE} in the environment, or &token-file=FILE`,
    )
  }
  for (const key of parameters.keys()) {
    if (!PARAMETERS.has(key)) throw invalid(`of ${[...PARAMETERS].join(', ')} it has another`)
    if (parameters.getAll(key).length > 1) throw invalid(`${key} is given twice`)
  }
  if (base.protocol !== 'https:' && !staysHere(base.hostname)) {
    throw invalid('without TLS (uniproxy+http://) the panel must be on loopback')
  }
  const node = parameters.get('node_id') ?? ''
  if (!/^\d{1,15}$/.test(node)) throw invalid('it has no node_id=NUMBER')
  const allowPrivate = parameters.get('allow-private') ?? '0'
  if (!/^[01]$/.test(allowPrivate)) throw invalid('allow-private is neither 0 nor 1')
  const tokenFile = parameters.get('token-file') ?? undefined
  base.search = ''
  base.hash = ''
  base.pathname = base.pathname.replace(/\/+$/, '')
  const shown = `uniproxy+${base.href.replace(/\/$/, '')}?node_id=${node}`
  return { shown, base, node, tokenFile, allowPrivate: allowPrivate === '1' }
}

/** @throws AnyTlsError `ERR_OPTION_INVALID` when there is none, `ERR_FILE` for a file that cannot be used */
export function readPanelToken({ tokenFile }: PanelPlace): string {
  const variable = process.env[PANEL_TOKEN_VARIABLE]
  const token = tokenFile === undefined ? variable : readSecretFile(tokenFile, 'token file')
  if (token) return token
  throw invalid(`it needs a token: ${PANEL_TOKEN_VARIABLE} in the environment, or &token-file=FILE`)
}

/** Of a name the client looks where it leads. */
function staysHere(hostname: string): boolean {
  return hostname === 'localhost' || isLoopback(hostname.replace(/^\[(.*)\]$/, '$1'))
}

function invalid(problem: string): AnyTlsError {
  return invalidOption(`the panel that --users names: ${problem}`)
}
