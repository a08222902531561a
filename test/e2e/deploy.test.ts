// What stands in deploy/ as it is used: the unit for systemd, its configuration, the container, nginx in front and behind.
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { validate } from 'dockerfile-utils'
import { beforeAll, describe, expect, it } from 'vitest'
import { parseShareLink } from '../../src/serve/share-link.ts'
import { connect } from '../../src/tls/dial.ts'
import { closedPort, curl } from '../proxy/support.ts'
import { makeTestCertificate } from '../support/certificate.ts'
import { startDaemon } from '../support/daemon.ts'
import { requireCurlWithHttp2, requireProgram } from '../support/programs.ts'
import { nginxProgram } from './nginx.ts'
import { folder, onLinux, PASSWORD, run, startServer, whenDone } from './support.ts'
import type { ServerProgram } from './support.ts'

const systemdAnalyze = requireProgram('systemd-analyze')
const curlProgram = requireCurlWithHttp2()

const read = (name: string) => readFileSync(join(import.meta.dirname, '../../deploy', name), 'utf8')

const UNIT = read('anytls.service')
/** What is commented out stands there as it would be used. */
const withComments = (config: string) => config.replace(/^# (?=[\w-]+ = )/gm, '')

function write(name: string, text: string): string {
  const file = join(folder, name)
  writeFileSync(file, text)
  return file
}

/** @param changes what stands in a file of deploy/, and what takes its place; it must be there */
function adapt(text: string, changes: Readonly<Record<string, string>>): string {
  return Object.entries(changes).reduce((result, [from, to]) => {
    expect(result).toContain(from)
    return result.replaceAll(from, to)
  }, text)
}

describe.skipIf(systemdAnalyze.isMissing)(`systemd${systemdAnalyze.note}`, () => {
  it('Issue 12.9: the unit is one, without a warning, and as closed as a server can be', () => {
    const program = write('program', '#!/bin/sh\n')
    chmodSync(program, 0o755)
    const unit = write('anytls.service', adapt(UNIT, { '/usr/local/bin/anytls': program }))
    const analyze = (...args: string[]) => {
      const { status, stdout, stderr } = spawnSync(systemdAnalyze.path, [...args, unit], {
        encoding: 'utf8',
        env: { ...process.env, SYSTEMD_COLORS: '0' },
      })
      return { status, said: stdout + stderr }
    }
    expect(analyze('verify', '--man=no')).toEqual({ status: 0, said: '' })
    const { status, said } = analyze('security', '--offline=yes', '--threshold=20')
    expect(said).toMatch(/Overall exposure level for anytls\.service: [012]\.\d OK/)
    expect(status).toBe(0)
    const capabilities = UNIT.match(/^(?:Ambient|CapabilityB).*$/gm)
    expect(capabilities?.map((line) => line.split('=')[1])).toEqual(
      Array(2).fill('CAP_NET_BIND_SERVICE'),
    )
  })
})

describe.skipIf(!onLinux)('the unit (only on Linux)', { timeout: 30_000 }, () => {
  it('Issue 12.9: what it runs is a server, with users and the admin socket', async () => {
    const [, command = ''] = /^ExecStart=\S+ (.*)$/m.exec(UNIT) ?? []
    const config = adapt(read('server.toml'), {
      '":443"': '"127.0.0.1:0"',
      'acme = ["proxy.example.org"]\n': '',
      '/var/lib/anytls': folder,
      '/run/anytls': folder,
    })
    write('server.toml', config)
    const program = run(adapt(command, { '%d': folder, '%S': folder }).split(' '))
    await program.said(/listening on 127\.0\.0\.1:\d+/)
    await program.said(/admin on unix:/)
    program.child.kill('SIGTERM')
    expect((await program.ended).code).toBe(0)
  })

  it.each([
    ['as it is', read('server.toml')],
    ['with what is commented out', withComments(read('server.toml'))],
  ])('Issue 12.9: its configuration is one, %s', async (_, config) => {
    const program = run(['config', 'check', write('checked.toml', config)])
    expect(await program.ended, program.stderr()).toMatchObject({ code: 0 })
  })
})

describe('the container', () => {
  it('Issue 12.9: its file has no fault that can be seen without building it', () => {
    expect(validate(read('Containerfile'))).toEqual([])
    expect(validate('FROM a\nRUNN b\n')).toHaveLength(1)
  })
})

const isMissing = nginxProgram.isMissing || curlProgram.isMissing || !onLinux

describe.skipIf(isMissing)(
  `nginx in front and behind (only on Linux)${nginxProgram.note}${curlProgram.note}`,
  { timeout: 60_000 },
  () => {
    const home = join(folder, 'nginx-deploy')
    const log = join(home, 'access.log')
    let server: ServerProgram
    let front: number
    let subscription: string

    /** As somebody at another address, over what is in front. */
    const fetchFrom = async (name: string, path: string, ...args: string[]) => {
      const address = ['--interface', '127.0.0.2', '--resolve', `${name}:${front}:127.0.0.1`]
      const { stdout } = await curl('-k', ...address, ...args, `https://${name}:${front}${path}`)
      return stdout.toString()
    }

    beforeAll(async () => {
      const ports = await Promise.all(Array.from({ length: 5 }, () => closedPort()))
      const [http1 = 0, h2 = 0, redirect = 0, web = 0] = ports
      front = ports[4] ?? 0
      const users = ['--users', join(folder, 'deploy-users.json')]
      const added = run(['user', 'add', 'anna', ...users])
      await added.ended
      server = await startServer([
        ...['--fallback', `http://127.0.0.1:${http1}`, '--fallback-h2', `http://127.0.0.1:${h2}`],
        ...['--fallback-proxy-protocol', 'v1', '--accept-proxy-protocol', '127.0.0.1/32'],
        ...['--public-host', `proxy.example.org:${front}`, ...users],
      ])
      const shown = run(['user', 'link', 'anna', '--subscription', ...users])
      await shown.ended
      subscription = new URL(shown.stdout()).pathname
      mkdirSync(join(home, 'site/folder'), { recursive: true })
      writeFileSync(join(home, 'site/index.html'), 'the site\n')
      const { key, cert } = await makeTestCertificate()
      const [keyFile, certFile] = [write('web.key', key), write('web.crt', cert)]
      const [stream, site] = [
        adapt(read('nginx-front.conf'), {
          '127.0.0.1:8443': `127.0.0.1:${server.port}`,
          '127.0.0.1:8444': `127.0.0.1:${web}`,
          'listen 443;': `listen 127.0.0.1:${front};`,
          'listen [::]:443;': '',
        }),
        adapt(read('nginx-fallback.conf'), {
          '127.0.0.1:8080': `127.0.0.1:${http1}`,
          '127.0.0.1:8081': `127.0.0.1:${h2}`,
          '/var/www/html': `${home}/site`,
          'listen 80;': `listen 127.0.0.1:${redirect};`,
          'listen [::]:80;': '',
        }),
      ]
      const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
      const config = write(
        'deploy-nginx.conf',
        `load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off;
master_process off;
error_log stderr crit;
pid ${home}/pid;
events {}
${stream}
http {
  log_format who '$remote_addr $request';
  access_log ${log} who;
  ${temporary.map((kind) => `${kind}_temp_path ${home}/${kind};`).join('\n  ')}
  ${site}
  server {
    listen 127.0.0.1:${web} ssl proxy_protocol;
    ssl_certificate ${certFile};
    ssl_certificate_key ${keyFile};
    return 200 "another site, for $proxy_protocol_addr\\n";
  }
}
`,
      )
      const args = ['-p', home, '-c', config, '-e', 'stderr']
      const nginx = await startDaemon(nginxProgram, args, [...ports])
      whenDone(() => nginx.stop())
    })

    it('Issue 12.9: strangers see the site behind, by HTTP/1.1 and HTTP/2, and it sees their address', async () => {
      for (const version of ['--http1.1', '--http2']) {
        expect(await fetchFrom('proxy.example.org', '/', version)).toBe('the site\n')
        expect(await fetchFrom('proxy.example.org', '/folder', version, '-i')).toMatch(
          /location: \/folder\/\r\n/i,
        )
      }
      expect(await fetchFrom('other.example.org', '/')).toBe('another site, for 127.0.0.2\n')
      const seen = readFileSync(log, 'utf8').split('\n')
      expect(seen).toContain('127.0.0.2 GET / HTTP/1.1')
      expect(seen).toContain('127.0.0.2 GET / HTTP/2.0')
    })

    it('Issue 12.9: clients get through, and users to their subscriptions', async () => {
      const { pin = '' } = parseShareLink(server.link)
      const session = await connect({
        ...{ host: '127.0.0.1', port: front, servername: 'proxy.example.org' },
        ...{ password: PASSWORD, pin },
      })
      await session.close()
      const list = await fetchFrom('proxy.example.org', subscription, '--http1.1')
      expect(Buffer.from(list, 'base64').toString()).toMatch(
        new RegExp(`^anytls://[\\w-]{22}@proxy\\.example\\.org:${front}/.*#anna%40proxy`),
      )
      expect(readFileSync(log, 'utf8')).not.toContain(subscription)
    })
  },
)
