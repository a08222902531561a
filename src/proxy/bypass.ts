// Targets that a client reaches by itself, without the server: by name, suffix or network.
// Must never look a name up to find out, for that would tell its resolver where the program goes.
import type { Socket } from 'node:net'
import { isIP } from 'node:net'
import { addAbortSignal } from 'node:stream'
import type { Address } from '../codec/address.ts'
import { isInNetworks, parseNetwork } from '../codec/network.ts'
import type { Network } from '../codec/network.ts'
import { invalidOption } from '../errors.ts'
import { toAsciiName } from './host.ts'
import { dial } from './outbound/outbound.ts'
import type { OpenTunnel, TunnelStream } from './tunnel.ts'
import { isUdpOverTcp } from './udp/udp-serve.ts'

/** What is reached directly. */
export type BypassRule =
  | {
      /** That name alone. */
      readonly type: 'name'
      /** In lower case. */
      readonly name: string
    }
  | {
      /** The name and all below it. */
      readonly type: 'suffix'
      /** In lower case, without the dot in front. */
      readonly name: string
    }
  | {
      /** Addresses, not names. */
      readonly type: 'network'
      /** The addresses. */
      readonly network: Network
    }

/**
 * Reads a rule: `example.com` is that name, `.example.com` (or `*.example.com`) it and all below it, `192.168.0.0/16`
 * or `fe80::1` a network or address.
 *
 * @throws AnyTlsError `ERR_OPTION_INVALID` for anything else
 */
export function parseBypass(text: string): BypassRule {
  const bare = /^\[(.*)\]$/.exec(text)?.[1] ?? text
  if (isIP(bare) !== 0 || bare.includes('/'))
    return { type: 'network', network: parseNetwork(bare) }
  const [, dots = '', rest = ''] = /^(\*?\.)?(.*)$/s.exec(text) ?? []
  const name = toAsciiName(rest)?.toLowerCase().replace(/\.$/, '')
  // Numbers at the end are an address that was cut short.
  if (
    name === undefined ||
    !/^(?=.{1,253}$)[\w-]+(?:\.[\w-]+)*$/.test(name) ||
    /(?:^|\.)\d+$/.test(name)
  ) {
    throw invalidOption('write NAME, .SUFFIX, ADDRESS or ADDRESS/BITS')
  }
  return { type: dots === '' ? 'name' : 'suffix', name }
}

/** Whether `host`, a name or an address, falls under one of `rules`. A name never falls under a network. */
export function isBypassed(rules: readonly BypassRule[], host: string): boolean {
  const name = host.toLowerCase().replace(/\.$/, '')
  return rules.some((rule) => {
    switch (rule.type) {
      case 'name':
        return name === rule.name
      case 'suffix':
        return name === rule.name || name.endsWith(`.${rule.name}`)
      case 'network':
        return isInNetworks([rule.network], host)
    }
  })
}

/**
 * An {@link OpenTunnel} that connects to targets under `rules` itself and leaves the others to `openTunnel`.
 * Datagrams all go where those of their association go: they are `openTunnel`'s.
 */
export function createBypass(
  rules: readonly BypassRule[],
  openTunnel: OpenTunnel,
  connect: (target: Address, signal: AbortSignal) => Promise<Socket> = dialDirectly,
): OpenTunnel {
  if (rules.length === 0) return openTunnel
  return async (target, signal, early) =>
    isBypassed(rules, target.host) && !isUdpOverTcp(target)
      ? asTunnel(addAbortSignal(signal, await connect(target, signal)))
      : openTunnel(target, signal, early)
}

function dialDirectly(target: Address, signal: AbortSignal): Promise<Socket> {
  return dial(target, { signal })
}

function asTunnel(socket: Socket): TunnelStream {
  return Object.assign(socket, {
    accepted: () => Promise.resolve(),
    accept: () => {},
    reset: () => void socket.resetAndDestroy(),
  })
}
