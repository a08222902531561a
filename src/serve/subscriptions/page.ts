// What a browser shows of a subscription: what is left, and the link for apps as text and QR code. No script.
import { createHash } from 'node:crypto'
import { renderSVG } from 'uqr'
import type { Quota } from '../users/amounts.ts'
import { formatQuota, shortBytes } from '../users/amounts.ts'

export interface SubscriptionPage {
  readonly name: string
  readonly server: string
  readonly link: string
  /** Of the subscription itself. */
  readonly url: string
  readonly up: number
  readonly down: number
  readonly quota: Quota | undefined
  /** In milliseconds since 1970. */
  readonly expires: number | undefined
}

const STYLE = `
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { max-width: 40rem; margin: 0 auto; padding: 1rem; }
svg { display: block; width: min(100%, 20rem); margin: 1rem 0; }
code { display: block; padding: .5rem; border: 1px solid; overflow-wrap: anywhere; user-select: all; }
meter { width: 100%; }
`

/** What the page may do: show itself, in its own style. */
export const PAGE_POLICY = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'`,
  ...["base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"],
].join('; ')

export function subscriptionPage(page: SubscriptionPage): string {
  const { name, server, link, url, up, down, quota, expires } = page
  const end = expires === undefined ? '' : new Date(expires).toISOString().slice(0, 16)
  const lastDay = end && `<p>Until ${end.replace('T', ' ')} UTC</p>`
  const app = (href: string, label: string) => `<li><a href="${escape(href)}">${label}</a></li>`
  const encoded = encodeURIComponent(url)
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${escape(`${name} at ${server}`)}</title>
<style>${STYLE}</style>
<h1>${escape(name)}</h1>
<p>Used: ${shortBytes(up)} up, ${shortBytes(down)} down</p>
${quotaLines(up + down, quota)}${lastDay}
<h2>Connect</h2>
<ul>
${app(link, 'AnyTLS apps')}
${app(`clash://install-config?url=${encoded}`, 'Clash, mihomo')}
${app(`sing-box://import-remote-profile?url=${encoded}#${encodeURIComponent(server)}`, 'sing-box')}
</ul>
<h2>Link</h2>
<p>For one server, as it is now:</p>
${qrCode(link, 'QR code of the link')}
<code>${escape(link)}</code>
<h2>Subscription</h2>
<p>For apps that look for changes by themselves. Whoever knows it can connect as you:</p>
${qrCode(url, 'QR code of the subscription')}
<code>${escape(url)}</code>
</html>
`
}

function quotaLines(used: number, quota: Quota | undefined): string {
  if (quota === undefined) return ''
  const { bytes } = quota
  const left = shortBytes(Math.max(bytes - used, 0))
  return `<p>Left: ${left} of ${formatQuota(quota)}</p>
<meter max="${bytes}" value="${used}" aria-label="What is used of the quota"></meter>
`
}

/** Nothing for a text that no code holds. Black on white: cameras want it so. */
function qrCode(text: string, label: string): string {
  try {
    const picture = renderSVG(text, { border: 4 })
    return picture.replace('<svg ', `<svg role="img" aria-label="${label}" `)
  } catch (error) {
    if (error instanceof RangeError) return ''
    throw error
  }
}

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
}

function escape(text: string): string {
  return text.replace(/[&<>"]/g, (character) => ESCAPES[character] ?? '')
}
