// `anytls link`: any form in, the standard form out, and a QR code that a scanner reads.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { spawnSync } from 'node:child_process'
import { createHash, X509Certificate } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { encode } from 'uqr'
import { afterAll, describe, expect, it } from 'vitest'
import { makeSelfSigned } from '../../src/serve/self-signed.ts'
import { MAIN } from './run-program.ts'

const folder = mkdtempSync(join(tmpdir(), 'link-'))
afterAll(() => rmSync(folder, { recursive: true }))

function link(args: readonly string[], input = '', env: NodeJS.ProcessEnv = {}) {
  return spawnSync(process.execPath, [MAIN, 'link', ...args], {
    input,
    encoding: 'utf8',
    env: { ...process.env, ANYTLS_PASSWORD: undefined, ...env },
    timeout: 30_000,
  })
}

describe('anytls link', () => {
  it('a link of another form, read from standard input, is printed in the standard one', () => {
    const wild =
      'anytls://user:p%40ss@[2001:db8::1]:443/?peer=a.example&allowInsecure=1&up=5#My%20home\n'
    const { stdout, stderr, status } = link(['-'], wild)
    expect(stdout).toBe('anytls://p%40ss@[2001:db8::1]:443/?sni=a.example&insecure=1#My%20home\n')
    expect([stderr, status]).toEqual([
      'anytls: keys of the link that change nothing are left out: up\n',
      0,
    ])
  })

  it('a server and a password file make a link; options count more than what is there', () => {
    const file = join(folder, 'password')
    writeFileSync(file, 'a b\n')
    const pin = 'AB'.repeat(32)
    const args = ['example.net:8443', '--password-file', file, '--pin', pin, '--name', 'x']
    expect(link(args).stdout).toBe(`anytls://a%20b@example.net:8443/?hpkp=${pin.toLowerCase()}#x\n`)
    const other = link(['anytls://old@h/?insecure=1', '-p', 'new', '--sni', 'name.example'])
    expect(other.stdout).toBe('anytls://new@h:443/?sni=name.example&insecure=1\n')
  })

  it('--qr draws the very link, on standard error', () => {
    const { stdout, stderr } = link(['h:1', '--qr'], '', { ANYTLS_PASSWORD: 'secret' })
    expect(stdout).toBe('anytls://secret@h:1/\n')
    const { data } = encode(stdout.trim())
    const rows = stderr.trimEnd().split('\n')
    // Two rows of modules a line.
    expect(rows.length).toBe(Math.ceil(data.length / 2))
    const drawn = rows.flatMap((row) => [
      Array.from(row, (block) => block === '█' || block === '▀'),
      Array.from(row, (block) => block === '█' || block === '▄'),
    ])
    // A full block is a light module.
    for (const [y, row] of data.entries()) {
      expect(row.map((dark) => !dark)).toEqual(drawn[y])
    }
  })

  it.each([
    [
      'vless://x@h:1',
      '',
      /<server>: it is a link of another protocol: a share link begins with anytls:/,
    ],
    ['h:0', '', /<server>: a server cannot have port 0/],
    [
      '-',
      'vless://x@h:1\n',
      /standard input: it is a link of another protocol: a share link begins with anytls:/,
    ],
    ['-', 'anytls://x@h:1\nanytls://x@i:1\n', /standard input: there is more than one line/],
    ['-', 'anytls://x@h:1\r\n\r\nh:1\r\n', /standard input: there is more than one line/],
    [
      `anytls://h/?#${'x'.repeat(4_000)}`,
      '',
      /--qr: a link of \d+ characters is too long for a QR/,
    ],
  ])('what is wrong is said of the right argument, in one line (%#)', (server, input, pattern) => {
    const { stdout, stderr, status } = link([server, '--qr', '-p', 'secret'], input)
    expect([stdout, status]).toEqual(['', 2])
    expect(stderr.trimEnd().split('\n')).toHaveLength(1)
    expect(stderr).toMatch(pattern)
    expect(stderr).not.toContain('-s:')
  })

  it.each([
    [['nonsense'], /the port is missing/],
    [['anytls://pw@'], /the host is missing/],
    [['anytls://h:99999/', '-p', 'x'], /the host or the port is not valid/],
    [['h:1'], /a password is needed/],
    [['h:1', '-p', 'x', '--pin', '12'], /--pin/],
    [['h:1', '-p', 'x', '--insecure', '--pin', 'ab'.repeat(32)], /cannot be used with/],
    [[], /missing required argument/],
    [['-'], /the port is missing|the host is missing/],
  ])('%j gets one clear line and exit code 2', (args, pattern) => {
    const { stdout, stderr, status } = link(args)
    expect([stdout, status]).toEqual(['', 2])
    expect(stderr.trimEnd().split('\n')).toHaveLength(1)
    expect(stderr).toMatch(pattern)
    expect(stderr).not.toContain('pw')
  })

  it('--format prints what sing-box and mihomo need, the certificate pinned as they pin it', async () => {
    const { cert } = await makeSelfSigned(['example.net'])
    const file = join(folder, 'certificate.pem')
    writeFileSync(file, cert)
    const certificate = new X509Certificate(cert)
    const pin = certificate.fingerprint256.replaceAll(':', '').toLowerCase()
    const server = `anytls://pa%20ss@192.0.2.1:8443/?sni=example.net&hpkp=${pin}#My%20home`
    const spki = spawnSync('openssl', ['pkey', '-pubin', '-outform', 'der'], {
      input: certificate.publicKey.export({ type: 'spki', format: 'pem' }),
    })
    const keyPin = createHash('sha256').update(spki.stdout).digest('base64')
    expect(JSON.parse(link([server, '--format', 'sing-box', '--cert', file]).stdout)).toEqual({
      type: 'anytls',
      tag: 'My home',
      server: '192.0.2.1',
      server_port: 8443,
      password: 'pa ss',
      tls: { enabled: true, server_name: 'example.net', certificate_public_key_sha256: [keyPin] },
    })
    // The state folder has it too.
    expect(link([server, '--format', 'sing-box', '--state-dir', folder]).stdout).toContain(keyPin)
    expect(link([server, '--format', 'mihomo']).stdout.split('\n')).toEqual([
      'proxies:',
      '  - name: "My home"',
      '    type: "anytls"',
      '    server: "192.0.2.1"',
      '    port: 8443',
      '    password: "pa ss"',
      '    udp: true',
      '    sni: "example.net"',
      `    fingerprint: "${pin}"`,
      '',
    ])
    const without = link([server, '--format', 'sing-box', '--state-dir', join(folder, 'none')])
    expect([without.status, without.stderr]).toEqual([2, expect.stringMatching(/--cert FILE/)])
    const bare = ['192.0.2.1:8443', '-p', 'x', '--cert', file]
    expect(link(bare).stdout).toBe(`anytls://x@192.0.2.1:8443/?hpkp=${pin}\n`)
  }, 60_000)

  const LIST = Buffer.from('anytls://letmein@a.example:443\nvless://letmein@b.example\n').toString(
    'base64',
  )
  it.each([
    [LIST, /it is base64, such as a subscription/],
    ['{"outbounds":[{"type":"anytls","password":"letmein"}]}', /it is JSON/],
    ['proxies:\n  - name: a\n    password: letmein\n', /it is YAML/],
    ['https://sub.example/letmein', /address of a web page or subscription/],
  ])('what is no link says what it is, and is not repeated (%#)', (input, pattern) => {
    for (const { stdout, stderr, status } of [
      link(['-', '-p', 'x'], input),
      link([input, '-p', 'x']),
    ]) {
      expect([stdout, status]).toEqual(['', 2])
      expect(stderr.trimEnd().split('\n')).toHaveLength(1)
      expect(stderr).toMatch(pattern)
      expect(stderr).not.toMatch(/letmein|bGV0bWVpb/)
    }
  })
})
