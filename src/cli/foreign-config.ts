// Recognises what people give in the place of a share link: subscriptions and configurations of other programs.
// Must never repeat a piece of it: all of them hold passwords.

/**
 * What a text is that is neither a share link nor an address, and what to do with it, in one line; `undefined` when it
 * is not known.
 */
export function recogniseForeign(text: string): string | undefined {
  const trimmed = text.trim()
  if (/^(?:\{|\[\s*[{\]"])/.test(trimmed)) {
    return `it is JSON, such as a configuration of sing-box: ${BY_HAND}`
  }
  if (/^(?:-\s*\{?\s*)?(?:proxies|name|type|server|port|password)\s*:(?:\s|$)/m.test(trimmed)) {
    return `it is YAML, such as a configuration of Clash (mihomo): ${BY_HAND}`
  }
  if (/^(?:[^=\n]*=\s*)?anytls\s*[,=]/im.test(trimmed)) {
    return `it is a line of a configuration of Surge, Loon or Quantumult X: ${BY_HAND}`
  }
  if (isBase64List(trimmed)) {
    return 'it is base64, such as a subscription: decode it (base64 -d) and give one anytls:// line of it'
  }
  if (/^https?:\/\//i.test(trimmed)) {
    return 'it is the address of a web page or subscription: a share link begins with anytls://'
  }
  if (/^[a-z][a-z\d+.-]*:\/\//i.test(trimmed)) {
    return 'it is a link of another protocol: a share link begins with anytls://'
  }
  return undefined
}

const BY_HAND =
  'give its server and port as HOST:PORT, the password with --password-file, and --sni where it has one'

function isBase64List(text: string): boolean {
  const packed = text.replace(/\s/g, '')
  if (packed.length < 16 || !/^[A-Za-z0-9+/_-]+={0,2}$/.test(packed)) return false
  return /^\s*[a-z][a-z\d+.-]*:\/\//i.test(Buffer.from(packed, 'base64').toString('latin1'))
}
