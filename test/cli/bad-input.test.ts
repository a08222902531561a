// What bad options, files, schemes and links get: one clear line, exit code 2, no stack trace.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { endingFor } from '../../src/cli/failure.ts'
import type { Ending } from '../../src/cli/failure.ts'
import { programWith } from './commands.ts'
import { runProgram } from './run-program.ts'

const folder = mkdtempSync(join(tmpdir(), 'bad-input-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** A word that stands where a secret would: no message may repeat it. */
const SECRET = 'letmein'
const SERVER = ['server', '-l', '127.0.0.1:0', '--state-dir', join(folder, 'state')]
const CLIENT = ['client', '-l', '127.0.0.1:0', '--state-dir', join(folder, 'state')]
const WITH_PASSWORD = [...SERVER, '-p', SECRET]

/** Title, arguments, what the line says. */
type Case = readonly [string, readonly string[], RegExp]

/** What the command line itself shows to be wrong. */
const usageCases: readonly Case[] = [
  ['no command', [], /a command is needed/],
  ['an unknown command', ['serve'], /unknown command 'serve' \(Did you mean server\?\)/],
  ['a command in the wrong case', ['Client'], /unknown command 'Client' \(Did you mean client\?\)/],
  [
    'an option that is misspelt',
    ['server', '--fallbak', 'x'],
    /'--fallbak' \(Did you mean --fallback\?\)/,
  ],
  [
    'an option of the other command',
    [...CLIENT, '-s', 'a:1', '--cert', 'x'],
    /unknown option '--cert'/,
  ],
  ['-p twice', ['server', '-p', SECRET, '-p', 'x'], /'-p, --password <password>' is given twice/],
  ['-l twice', ['server', '-l', '1', '--listen', '2'], /'-l, --listen <host:port>' is given twice/],
  ['a port alone that is too large', ['server', '-l', ':70000'], /--listen.*0 to 65535/],
  ['a listening address with a path', ['server', '-l', 'http://a:1'], /--listen.*write NAME:PORT/],
  ['an IPv6 address without brackets', ['server', '-l', '::1:443'], /--listen.*\[IPV6\]:PORT/],
  ['an unknown log format', ['server', '--log-format', 'xml'], /--log-format.*text, json/],
  [
    'a public host with a bad port',
    ['server', '--public-host', 'a:x'],
    /--public-host.*0 to 65535/,
  ],
  [
    'a link format that nobody has',
    ['link', 'a:1', '--format', 'v2ray'],
    /--format.*uri, sing-box, mihomo/,
  ],
  ['an argument too many', ['server', 'now'], /too many arguments/],
  ['an option without its value', ['server', '-p'], /'-p, --password <password>' argument missing/],
  ['a port that is too large', ['server', '-l', '127.0.0.1:65536'], /--listen.*0 to 65535/],
  ['a port that is no number', ['client', '-l', '127.0.0.1:http'], /--listen.*0 to 65535/],
  ['an address without a port', ['server', '-l', '127.0.0.1'], /--listen.*the port is missing/],
  ['an unknown log level', ['server', '--log-level', 'loud'], /--log-level.*trace, debug/],
  ['an unknown action', ['server', '--on-violation', 'shout'], /--on-violation.*alert, redirect/],
  ['a fallback with TLS', ['server', '--fallback', 'https://a:1'], /--fallback.*TLS to a fallback/],
  ['no server', CLIENT, /'-s, --server <server>' not specified/],
  ['a server without a port', [...CLIENT, '-s', 'example.com'], /--server.*the port is missing/],
  [
    'a share link with a bad pin',
    [...CLIENT, '-s', `anytls://${SECRET}@example.com/?hpkp=12`],
    /the share link is not valid: hpkp/,
  ],
  [
    'a share link without its beginning',
    [...CLIENT, '-s', `${SECRET}@example.com:443`],
    /a share link begins with anytls:/,
  ],
  [
    'a share link that wants REALITY',
    [...CLIENT, '-s', `anytls://${SECRET}@example.com/?security=reality`],
    /security asks for security other than TLS, which anytls cannot do/,
  ],
  [
    'a share link with a # in its password',
    [...CLIENT, '-s', `anytls://let#${SECRET}@example.com`],
    /a # in the password is written %23/,
  ],
  [
    'a link of another protocol',
    [...CLIENT, '-s', `vless://${SECRET}@a:1`],
    /link of another protocol/,
  ],
  [
    'a subscription',
    [...CLIENT, '-s', `https://a/${SECRET}`],
    /address of a web page or subscription/,
  ],
  ['JSON for a server', [...CLIENT, '-s', `{"password":"${SECRET}"}`], /it is JSON.*HOST:PORT/],
  [
    'YAML for a server',
    [...CLIENT, '-s', `proxies: [{password: ${SECRET}}]`],
    /it is YAML.*HOST:PORT/,
  ],
  [
    'base64 for a server',
    [...CLIENT, '-s', Buffer.from(`anytls://${SECRET}@example.com`).toString('base64')],
    /it is base64.*base64 -d/,
  ],
  [
    'a line of Surge for a server',
    [...CLIENT, '-s', `Home = anytls, example.com, 443, password=${SECRET}`],
    /it is a line of a configuration of Surge, Loon or Quantumult X.*HOST:PORT/,
  ],
  [
    'a line of Quantumult X for a server',
    [...CLIENT, '-s', `anytls=example.com:443, password=${SECRET}, over-tls=true`],
    /it is a line of a configuration of Surge, Loon or Quantumult X.*HOST:PORT/,
  ],
  [
    'password, host and port in base64 for a server',
    [...CLIENT, '-s', `anytls://${Buffer.from(`${SECRET}@example.com:443`).toString('base64url')}`],
    /what follows anytls:\/\/ is base64: decode it/,
  ],
  ['a password for a server', [...CLIENT, '-s', SECRET], /--server: the port is missing/],
  ['a server with port 0', [...CLIENT, '-s', 'a:0'], /--server: a server cannot have port 0/],
  ['a bad pin', [...CLIENT, '-s', 'a:1', '--pin', '12'], /--pin.*64 hex/],
  ['a bad name', [...CLIENT, '-s', 'a:1', '--sni', 'a b'], /--sni.*not a host name/],
  [
    'a network with bits after its prefix',
    [...SERVER, '--accept-proxy-protocol', '10.0.0.0/8', '10.0.0.1/8'],
    /--accept-proxy-protocol.*"10\.0\.0\.1\/8" is not a network/,
  ],
  [
    'a wait that is none',
    [...CLIENT, '-s', 'a:1', '--reply-wait', 'long'],
    /--reply-wait.*neither exact nor a number of milliseconds from 0 to 10000/,
  ],
  ['a time that is none', [...SERVER, '--drain-time', '1.5'], /--drain-time.*0 to 86400/],
  ['a name that is none', [...SERVER, '--acme', 'a b'], /--acme.*not a host name/],
  [
    'an authority without TLS',
    [...SERVER, '--acme', 'a.test', '--acme-directory', 'http://a.test/'],
    /--acme-directory.*no https URL/,
  ],
  ['a negative number', [...CLIENT, '-s', 'a:1', '--min-idle', '-1'], /--min-idle.*0 to 64/],
  [
    '--insecure beside --pin',
    [...CLIENT, '-s', 'a:1', '--insecure', '--pin', 'ab'.repeat(32)],
    /'--insecure' cannot be used with option '--pin/,
  ],
]

/** What needs the whole program: how it ends, files, and options that do not go together. */
const programCases: readonly Case[] = [
  ['an unknown option', ['server', '--frob'], /unknown option '--frob'/],
  ['an option with control characters', ['server', '-l', 'a\u001b[2J\nb:1'], /\\u001b\[2J\\u000ab/],
  [
    'a fallback for h2 alone',
    [...WITH_PASSWORD, '--fallback-h2', 'http://a:1'],
    /h2 needs one for/,
  ],
  [
    'the PROXY protocol without a fallback',
    [...WITH_PASSWORD, '--fallback-proxy-protocol', 'v1'],
    /the PROXY protocol needs a fallback/,
  ],
  ['no password', SERVER, /a password is needed: ANYTLS_PASSWORD/],
  ['-p beside --password-file', [...WITH_PASSWORD, '--password-file', 'x'], /exclude each other/],
  [
    'a password file that is not there',
    [...SERVER, '--password-file', join(folder, 'none')],
    /cannot read password file '.*none': no such file/,
  ],
  ['--cert without --key', [...WITH_PASSWORD, '--cert', 'x.pem'], /--cert and --key/],
  [
    'a certificate that is not there',
    [...WITH_PASSWORD, '--cert', join(folder, 'none'), '--key', join(folder, 'none')],
    /cannot read certificate file '.*none': no such file/,
  ],
  [
    'a certificate that is none',
    [...WITH_PASSWORD, '--cert', fileWith('none.pem', 'x'), '--key', fileWith('none.pem', 'x')],
    /certificate file '.*none.pem' holds no usable certificate/,
  ],
  [
    'a state folder that is a file',
    [...WITH_PASSWORD, '--state-dir', fileWith('file', '')],
    /'.*file.server\.pem'.*: a part of the path is not a folder/,
  ],
  [
    'a state folder that cannot be written to',
    [...WITH_PASSWORD, '--state-dir', '/sys/anytls'],
    /cannot make folder '\/sys\/anytls': .*; --state-dir names another folder/,
  ],
  [
    'a state folder where none can be made',
    [...WITH_PASSWORD, '--state-dir', '/proc/anytls/state'],
    /cannot make folder '\/proc\/anytls': none can be made there; --state-dir names another folder/,
  ],
  [
    'a damaged certificate in the state folder',
    [...WITH_PASSWORD, '--state-dir', join(fileWith('server.pem', 'x'), '..')],
    /server\.pem' holds no usable certificate; delete it/,
  ],
  [
    'a padding scheme with a bad line',
    [...WITH_PASSWORD, '--padding-scheme', fileWith('scheme', 'stop=2\n0=30-30\n1=9-x\n')],
    /padding scheme '.*scheme': line 3, column 5: /,
  ],
  [
    'a padding scheme whose name is misspelt',
    [...WITH_PASSWORD, '--padding-scheme', 'builtin:flihgts'],
    /^anytls: padding scheme 'builtin:flihgts' is not known \(did you mean builtin:flights\?\)$/,
  ],
  [
    'a padding scheme for the downlink whose name is like none',
    [...WITH_PASSWORD, '--shape-downlink', 'builtin:'],
    /padding scheme 'builtin:' is not known \(known: builtin:default, builtin:flights\)$/,
  ],
  [
    'a padding scheme of a client whose name is one of an object',
    [...CLIENT, '-s', 'a:1', '-p', SECRET, '--padding-scheme', 'builtin:constructor'],
    /padding scheme 'builtin:constructor' is not known \(known: /,
  ],
  [
    'a padding scheme without a stop',
    [...WITH_PASSWORD, '--padding-scheme', fileWith('stopless', '0=30-30\n')],
    /padding scheme '.*stopless': line 1, column 1: .*stop/,
  ],
  [
    '--acme beside --cert',
    [...WITH_PASSWORD, '--acme', 'a.test', '--cert', 'a', '--key', 'b'],
    /--acme and --cert exclude each other/,
  ],
  [
    'a padding scheme that is not there',
    [...WITH_PASSWORD, '--padding-scheme', join(folder, 'none')],
    /cannot read padding scheme '.*none': no such file/,
  ],
  [
    'a share link with a bad port',
    [...CLIENT, '-s', `anytls://${SECRET}@example.com:0/`],
    /the share link is not valid: the port is 0/,
  ],
  [
    'a wire that nobody knows',
    [...CLIENT, '-s', 'a:1', '-p', SECRET, '--wire', 'v2'],
    /'--wire <wire>' argument 'v2' is invalid/,
  ],
  [
    'proxy authentication without a colon',
    [...CLIENT, '-s', 'a:1', '-p', 'x', '--proxy-auth-file', fileWith('auth', SECRET)],
    /does not have the form user:password/,
  ],
]

describe('bad input', { timeout: 60_000 }, () => {
  it.for(usageCases)('Bad input: %s: one line, exit code 2', async ([, args, says]) => {
    const { exitCode, line } = await usageFailure(args)
    expect(line).toMatch(says)
    expectClean(line)
    expect(exitCode).toBe(2)
  })

  it.concurrent.for(programCases)(
    'Bad input: %s: one line, exit code 2',
    async ([, args, says]) => {
      const { code, line } = await failure(args)
      expect(line).toMatch(says)
      expect(code).toBe(2)
    },
  )

  it.concurrent('Bad input: a port in use: one line, exit code 1', async () => {
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    const address = `127.0.0.1:${(taken.address() as AddressInfo).port}`
    const state = ['--state-dir', join(folder, 'port-in-use')]
    try {
      for (const args of [
        ['server', '-l', address, '-p', SECRET, ...state],
        // Whatever the level: that no stack trace is shown is part of it.
        ['server', '-l', address, '-p', SECRET, ...state, '--log-level', 'debug'],
        ['client', '-l', address, '-s', 'a:1', '-p', SECRET, ...state],
      ]) {
        const { code, line } = await failure(args)
        expect(line).toMatch(new RegExp(`cannot listen on ${address}: the port is in use`))
        expect(code).toBe(1)
      }
    } finally {
      taken.close()
    }
  })

  it.concurrent('Bad input: with --log-format json the one line is JSON', async () => {
    const program = runProgram([...SERVER, '--log-format', 'json'])
    expect(await program.ended).toEqual({ code: 2, signal: null })
    expect(JSON.parse(program.stderr())).toMatchObject({
      level: 'fatal',
      msg: expect.stringMatching(/^anytls: a password is needed/) as unknown,
    })
  })
})

/** How long saying so may take, in ms, with many others at the same time. */
const LIMIT = 30_000

async function failure(args: readonly string[]): Promise<{ code: number | null; line: string }> {
  const program = runProgram(args)
  const limit = setTimeout(() => program.child.kill('SIGKILL'), LIMIT)
  const { code } = await program.ended
  clearTimeout(limit)
  const [line = '', ...more] = program.stderr().split('\n')
  expect(more, program.stderr()).toEqual([''])
  expectClean(line)
  expect(program.stdout()).toBe('')
  return { code, line }
}

async function usageFailure(args: readonly string[]): Promise<Ending> {
  const program = programWith({})
  const isCalled = () => Promise.reject(new Error('the command was called'))
  return program.parseAsync(args, { from: 'user' }).then(isCalled, endingFor)
}

function expectClean(line: string | undefined): void {
  expect(line).toMatch(/^anytls: /)
  expect(line).not.toMatch(/\p{Cc}| at .*:\d+:\d+|letmein/u)
}

function fileWith(name: string, text: string): string {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}
