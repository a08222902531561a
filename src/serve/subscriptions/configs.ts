// Whole configurations for apps that take no single server: what they need to route everything through it.
import { mihomoProxy, singBoxOutbound } from '../link-formats.ts'
import type { ShareLink } from '../share-link.ts'

/** The name must be none that the programs or the texts here have for something else. */
export type NamedLink = ShareLink & { readonly name: string }

/** For Clash and mihomo, YAML. */
export function mihomoConfig(link: NamedLink): string {
  return `mixed-port: 7890
mode: rule
${mihomoProxy(link)}
proxy-groups:
  - name: Proxy
    type: select
    proxies:
      - ${JSON.stringify(link.name)}
      - DIRECT
rules:
  - MATCH,Proxy
`
}

/** For sing-box 1.13 and later, JSON. Names are looked up through the server, private addresses reached without it. */
export function singBoxConfig(link: NamedLink, certificate: string | undefined): string {
  const config = {
    log: { level: 'warn' },
    dns: {
      servers: [
        { type: 'tls', tag: 'remote', server: '1.1.1.1', detour: link.name },
        { type: 'local', tag: 'local' },
      ],
      final: 'remote',
    },
    inbounds: [
      {
        type: 'tun',
        tag: 'tun',
        address: ['172.19.0.1/30', 'fdfe:dcba:9876::1/126'],
        auto_route: true,
        strict_route: true,
      },
    ],
    outbounds: [singBoxOutbound(link, certificate), { type: 'direct', tag: 'direct' }],
    route: {
      rules: [
        { action: 'sniff' },
        { protocol: 'dns', action: 'hijack-dns' },
        { ip_is_private: true, action: 'route', outbound: 'direct' },
      ],
      final: link.name,
      auto_detect_interface: true,
      default_domain_resolver: 'local',
    },
  }
  return `${JSON.stringify(config, null, 2)}\n`
}
