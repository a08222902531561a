// Targets that a panel keeps everybody from: by name, pattern, network or transport.
import type { Address } from '../../codec/address.ts'
import { isBypassed, parseBypass } from '../../proxy/bypass.ts'
import type { BypassRule } from '../../proxy/bypass.ts'
import type { Transport } from '../../proxy/outbound/policy.ts'
import { AnyTlsError } from '../../errors.ts'
import { isObject } from '../json.ts'

const MAX_RULES = 10_000
const MAX_PATTERN = 1_000

/** A repeated group that has a repetition or a choice in it: what it costs may double with each character. */
const EXPONENTIAL = /\([^()]*[+*{|][^()]*\)[+*{]/

/** What the users of a panel may not reach. */
export interface PanelRoutes {
  /** A name and all below it, and networks. */
  readonly rules: readonly BypassRule[]
  /** Names that match. */
  readonly patterns: readonly RegExp[]
  /** All of TCP, all of UDP. */
  readonly transports: ReadonlySet<Transport>
}

/** @param problems takes what cannot be used, a line for each */
export function readRoutes(value: unknown, problems: string[]): PanelRoutes {
  const rules: BypassRule[] = []
  const patterns: RegExp[] = []
  const transports = new Set<Transport>()
  for (const route of Array.isArray(value) ? (value as unknown[]) : []) {
    if (!isObject(route)) {
      problems.push('a route is no object')
      continue
    }
    if (route['action'] !== 'block') {
      problems.push(`a route for something else than block is left out`)
      continue
    }
    for (const match of matchesOf(route['match'])) {
      if (rules.length + patterns.length >= MAX_RULES) {
        problems.push(`more than ${MAX_RULES} routes: the others are left out`)
        return { rules, patterns, transports }
      }
      const [, kind, rest = ''] = /^(regexp|protocol):(.*)$/s.exec(match) ?? []
      if (kind === 'protocol') {
        if (rest === 'tcp' || rest === 'udp') transports.add(rest)
        else problems.push(`route ${shown(match)}: of protocols tcp and udp alone can be told`)
      } else if (kind === 'regexp') {
        const pattern = patternOf(rest)
        if (pattern !== undefined) patterns.push(pattern)
        else problems.push(`route ${shown(match)}: the pattern cannot be used`)
      } else {
        addRule(match, rules, problems)
      }
    }
  }
  return { rules, patterns, transports }
}

/** Whether nobody is to reach a target; see `NodeControl.blocks`. */
export function isBlocked(
  { rules, patterns, transports }: PanelRoutes,
  { host }: Address,
  transport: Transport | undefined,
): boolean {
  if (transport !== undefined && transports.has(transport)) return true
  if (isBypassed(rules, host)) return true
  const name = host.toLowerCase().replace(/\.$/, '')
  return patterns.some((pattern) => pattern.test(name))
}

function matchesOf(value: unknown): readonly string[] {
  const list = Array.isArray(value) ? (value as unknown[]) : [value]
  const texts = list.flatMap((entry) => (typeof entry === 'string' ? entry : []))
  return texts
    .flatMap((text) => (Array.isArray(value) ? text : text.split(',')))
    .map((text) => text.trim())
    .filter((text) => text !== '')
}

function addRule(match: string, rules: BypassRule[], problems: string[]): void {
  try {
    const rule = parseBypass(match)
    rules.push(rule.type === 'name' ? { ...rule, type: 'suffix' } : rule)
  } catch (error) {
    if (!(error instanceof AnyTlsError)) throw error
    problems.push(`route ${shown(match)}: ${error.message}`)
  }
}

function patternOf(text: string): RegExp | undefined {
  if (text === '' || text.length > MAX_PATTERN || EXPONENTIAL.test(text)) return undefined
  try {
    return new RegExp(text, 'i')
  } catch {
    return undefined
  }
}

function shown(match: string): string {
  return JSON.stringify(match.slice(0, 60))
}
