// Configuration files: their keys are the options', the command line wins, and what is wrong has its place.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { endingFor } from '../../src/cli/failure.ts'
import { nearestKey } from '../../src/cli/config-options.ts'
import type { ClientCommandOptions, ServerCommandOptions } from '../../src/cli/options.ts'
import { parseConfig } from '../../src/cli/toml-file.ts'
import { programWith } from './commands.ts'
import { runProgram } from './run-program.ts'

const folder = mkdtempSync(join(tmpdir(), 'config-'))
afterAll(() => rmSync(folder, { recursive: true }))

let files = 0

function fileWith(text: string): string {
  const path = join(folder, `${(files += 1)}.toml`)
  writeFileSync(path, text)
  return path
}

/** What the command would be called with, or the one line that it ends with. */
async function parse(...args: string[]) {
  let client: ClientCommandOptions | undefined
  let server: ServerCommandOptions | undefined
  const program = programWith({
    server: (options) => Promise.resolve(void (server = options)),
    client: (options) => Promise.resolve(void (client = options)),
  })
  const ending = await program.parseAsync(args, { from: 'user' }).then(() => undefined, endingFor)
  return { client, server, ending }
}

const CLIENT = `
# comments are allowed
server = ["anytls://letmein@a.example:444", "b.example:443"]
listen = 1080
min-idle = 3
bypass = [".example.org", "10.0.0.0/8"]
log-level = "debug"
insecure = true
reply-wait = "exact"
`

describe('a configuration file', () => {
  it('says what options say, lists what may be given several times', async () => {
    const { client, ending } = await parse('client', '--config', fileWith(CLIENT))
    expect(ending).toBeUndefined()
    expect(client).toMatchObject({
      server: [{ host: 'a.example', port: 444, password: 'letmein' }, { host: 'b.example' }],
      listen: { port: 1080 },
      minIdle: 3,
      logLevel: 'debug',
      insecure: true,
      replyWait: Infinity,
    })
    expect(client?.bypass).toHaveLength(2)
  })

  it('the command line counts more, for lists as a whole and for what says the same otherwise', async () => {
    const file = fileWith(`${CLIENT}\npassword = "letmein"\n`)
    const flags = ['-s', 'c.example:1', '--password-file', 'x', '--pin', 'ab'.repeat(32)]
    const { client, ending } = await parse('client', '--config', file, ...flags, '--min-idle=0')
    expect(ending).toBeUndefined()
    expect(client).toMatchObject({ server: [{ host: 'c.example' }], minIdle: 0, passwordFile: 'x' })
    expect(client).not.toHaveProperty('insecure')
    expect(client).not.toHaveProperty('password')
  })

  it('of a server: flags that say no, options with a value or none, lists without a reader', async () => {
    const text = `link = false\nlegacy = true\nshape-downlink = true\naccept-proxy-protocol = "10.0.0.0/8"\n`
    const { server, ending } = await parse('server', `--config=${fileWith(text)}`)
    expect(ending).toBeUndefined()
    expect(server).toMatchObject({
      link: false,
      legacy: true,
      shapeDownlink: true,
      acceptProxyProtocol: ['10.0.0.0/8'],
    })
  })

  it('what options exclude, and what is missing, is told as without a file', async () => {
    const both = await parse(
      'client',
      '--config',
      fileWith(`${CLIENT}\npin = "${'ab'.repeat(32)}"`),
    )
    expect(both.ending?.line).toMatch(/'--insecure' cannot be used with option '--pin/)
    const none = await parse('client', '--config', fileWith('listen = 1080\n'))
    expect(none.ending?.line).toMatch(/'-s, --server <server>' not specified/)
  })

  it.for([
    [
      'an unknown key',
      'lisen = 1',
      /line 1, column 1: unknown key "lisen" \(did you mean listen\?\)/,
    ],
    [
      'another spelling',
      'server = "a:1"\nmin_idle = 1',
      /line 2, column 1: .*did you mean min-idle\?/,
    ],
    ['a key of the other command', 'shape-downlink = "x"', /unknown key "shape-downlink"$/],
    ['a key that no one knows', '"\\u001b[2J" = 1', /unknown key "\\u001b\[2J"$/],
    ['a wrong type', 'insecure = "yes"', /column 12: insecure: write true or false/],
    ['a number with a fraction', 'min-idle = 1.5', /column 12: min-idle: write it in quotes/],
    ['a date', 'password = 2026-01-01', /password: write it in quotes/],
    ['a table', '[client]\nlisten = 1', /line 1, column 1: there are no tables here/],
    ['a table in a line', 'server = { host = "letmein" }', /column 10: server: write it in quotes/],
    ['a list of what is one', 'listen = ["a:1", "b:1"]', /column 10: listen: one value is wanted/],
    ['an empty list', 'server = []', /server: the list is empty/],
    ['a bad value', 'min-idle = 100', /min-idle: It is not a number from 0 to 64/],
    ['a bad choice', 'wire = "v2"', /wire: Allowed choices are auto, v1, legacy/],
    ['a bad link in a list', 'server = ["a:1", "letmein@b"]', /column 10: .*begins with anytls/],
    [
      'a key twice',
      'listen = 1\n listen = 2',
      /line 2, column 2: this is not TOML: defining a key/,
    ],
    ['no TOML', 'password: letmein', /line 1, column \d+: this is not TOML/],
    ['a string without its end', 'password = "letmein', /line 1, column \d+: this is not TOML/],
    ['a value without quotes', 'password = letmein', /line 1, column \d+: this is not TOML/],
  ] as const)('bad input: %s has its line and column', async ([, text, says]) => {
    const { ending, client } = await parse('client', '--config', fileWith(text))
    expect(client).toBeUndefined()
    expect(ending?.exitCode).toBe(2)
    expect(ending?.line).toMatch(/^anytls: config file '.*', line \d+, column \d+: /)
    expect(ending?.line).toMatch(says)
    expect(ending?.line).not.toContain('letmein')
  })

  it('bad input: a file that is not there, no text, or without end', async () => {
    for (const [file, says] of [
      [join(folder, 'none'), /cannot read config file/],
      [folder, /it is a folder/],
      ['/dev/zero', /larger than/],
    ] as const) {
      const { ending } = await parse('server', '--config', file)
      expect(ending).toMatchObject({ exitCode: 2, line: expect.stringMatching(says) as unknown })
    }
  })

  it('bad input: depth and length cost little', () => {
    const began = performance.now()
    for (const text of ['a = '.padEnd(32_768, '['), 'a.'.repeat(16_380), '[[a]]\n'.repeat(5_400)]) {
      expect(parseConfig(text).problems).not.toEqual([])
    }
    expect(parseConfig('#'.repeat(32_769)).problems).toHaveLength(1)
    expect(performance.now() - began).toBeLessThan(10_000)
  })

  it('the nearest key', () => {
    const known = ['listen', 'password', 'password-file', 'log-level']
    expect(nearestKey('Listen', known)).toBe('listen')
    expect(nearestKey('passwordFile', known)).toBe('password-file')
    expect(nearestKey('loglvl', known)).toBe('log-level')
    expect(nearestKey('x', known)).toBeUndefined()
    expect(nearestKey('y'.repeat(100_000), known)).toBeUndefined()
  })

  it(
    'anytls config check tells every problem, or which command it is for',
    { timeout: 30_000 },
    async () => {
      const bad = fileWith('sever = "a:1"\nlisten = "letmein"\nmin-idle = 99\n')
      const [fine, wrong] = ['client', 'x'].map((_, index) =>
        runProgram(['config', 'check', index === 0 ? fileWith(CLIENT) : bad]),
      )
      expect(await fine?.ended).toEqual({ code: 0, signal: null })
      expect(fine?.stdout()).toMatch(/: 7 options for anytls client\n$/)
      expect(await wrong?.ended).toEqual({ code: 2, signal: null })
      expect(wrong?.stdout().split('\n')).toEqual([
        expect.stringMatching(/line 1, column 1: unknown key "sever" \(did you mean server\?\)/),
        expect.stringMatching(/line 2, column 10: listen: .*the port is missing/),
        expect.stringMatching(/line 3, column 12: min-idle: /),
        '',
      ])
      expect(wrong?.stderr()).toMatch(
        /^anytls: config file '.*' has 3 errors, read as one for anytls client\n$/,
      )
    },
  )

  it.for([
    ['listen = 1\ncert = "a"\n', 2, '--cert and --key are needed together'],
    ['fallback-h2 = "http://a:1"\n', 1, 'a fallback for h2 needs one for http/1.1 beside it'],
    ['fallback-proxy-protocol = "v1"\n', 1, 'the PROXY protocol needs a fallback endpoint'],
    ['acme = "a.test"\ncert = "a"\nkey = "b"\n', 3, '--acme and --cert exclude each other'],
    ['acme-http = 80\n', 1, '--acme-http needs --acme'],
    [
      'legacy = false\nlegacy-tls12 = true\n',
      2,
      '--legacy-tls12 and --no-legacy exclude each other',
    ],
    ['admin-token-file = "a"\n', 1, '--admin-token-file needs --admin'],
    ['admin = "192.0.2.1:9"\n', 1, /^--admin 192\.0\.2\.1:9: others can reach it/],
    [
      'password = "letmein"\npassword-file = "a"\n',
      2,
      /^-p and --password-file exclude each other/,
    ],
    [
      'server = "a:1"\npin = "PIN"\ninsecure = true\n',
      3,
      /'--insecure' cannot be used with option '--pin/,
    ],
    [
      'server = "a:1"\nca = "a"\npin = "PIN"\n',
      3,
      /'--ca <file>' cannot be used with option '--pin/,
    ],
    [
      'server = "a:1"\nca = "a"\ninsecure = true\n',
      3,
      /'--ca <file>' cannot be used with option '--insec/,
    ],
  ] as const)(
    'what starting with %j would refuse is told by config check, too',
    async ([text, line, says]) => {
      const file = fileWith(text.replace('PIN', 'ab'.repeat(32)))
      const check = runProgram(['config', 'check', file])
      const isClient = text.startsWith('server')
      const password = text.startsWith('password') ? {} : { ANYTLS_PASSWORD: 'letmein' }
      const state = ['--state-dir', join(folder, 'state')]
      const start = runProgram(
        [isClient ? 'client' : 'server', ...state, '--config', file],
        password,
      )
      expect((await check.ended).code).toBe(2)
      expect((await start.ended).code).toBe(2)
      const [, place, problem = ''] = /, (line \d+, column \d+): (.*)\n$/.exec(check.stdout()) ?? []
      expect(place).toBe(`line ${line}, column 1`)
      expect(problem).toMatch(says)
      expect(start.stderr()).toBe(`anytls: ${problem}\n`)
    },
  )
})
