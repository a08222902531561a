// Programs that people point at a proxy, as they are installed, through both of ours: each fetches, and some send, in
// the way that it has by itself.

import { execFile, spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, it } from 'vitest'
import { describeRequest, folder, serveHttp, startPair } from '../support.ts'
import type { ClientProgram } from '../support.ts'

/** Whether a program is there and says so. */
function has(program: string, ...args: string[]): boolean {
  return spawnSync(program, args, { stdio: 'ignore' }).status === 0
}

let client: ClientProgram
let origin: number
let proxy: string

beforeAll(async () => {
  client = (await startPair(['--log-level', 'debug'])).client
  proxy = `http://${client.proxy}`
  origin = (await serveHttp(describeRequest)).port
})

/** What a program prints; nothing in its environment says anything about proxies or where its files are. */
async function run(program: string, args: readonly string[], cwd = folder): Promise<string> {
  const { PATH } = process.env
  const env = { PATH, HOME: folder, LC_ALL: 'C', GIT_CONFIG_NOSYSTEM: '1' }
  const { stdout } = await promisify(execFile)(program, args, { cwd, env, timeout: 30_000 })
  return stdout
}

/** How many tunnels have stood for requests over plain HTTP. */
function forwarded(): number {
  return client.program.stderr().match(/a tunnel stands.*"http"/g)?.length ?? 0
}

describe('programs behind the client', { timeout: 40_000 }, () => {
  it.skipIf(!has('wget', '--version'))(
    'wget fetches and posts (only where wget is installed)',
    async () => {
      const args = ['-qO-', '-e', 'use_proxy=yes', '-e', `http_proxy=${proxy}`]
      const url = `http://127.0.0.1:${origin}/a`
      expect(await run('wget', [...args, url])).toMatch(/^GET 127\.0\.0\.1:\d+ \/a 0 /)
      const posted = await run('wget', [...args, '--post-data', 'a=b', url])
      expect(posted).toMatch(/^POST 127\.0\.0\.1:\d+ \/a 3 /)
    },
  )

  it.skipIf(!has('sh', '-c', 'nc -h 2>&1 | grep -q OpenBSD')).for(['connect', '5', '4'])(
    'nc -X %s, as ssh uses it (only where the nc of OpenBSD is installed)',
    async (kind) => {
      const ask = `printf 'GET /nc HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n'`
      const nc = `nc -X ${kind} -x ${client.proxy} 127.0.0.1 ${origin}`
      expect(await run('sh', ['-c', `${ask} | ${nc}`])).toMatch(/\r\n\r\n[^]*GET x \/nc 0 /)
    },
  )

  it.skipIf(!has('git', '--version'))(
    'git clones and pushes more than it holds in memory (only where git is installed)',
    async () => {
      const { port } = await serveHttp(serveGit)
      const home = join(folder, 'git')
      mkdirSync(home)
      await run('git', ['init', '-q', '--bare', join(home, 'a.git')])
      const proxied = ['-c', `http.proxy=${proxy}`, '-c', 'http.postBuffer=65536']
      const before = forwarded()
      const clone = ['clone', '-q', `http://127.0.0.1:${port}/a.git`, 'first']
      await run('git', [...proxied, ...clone], home)
      const first = join(home, 'first')
      const file = randomBytes(1 << 20)
      writeFileSync(join(first, 'file'), file)
      await run('git', ['add', 'file'], first)
      const author = ['-c', 'user.name=a', '-c', 'user.email=a@b.test']
      await run('git', [...author, 'commit', '-qm', 'a file'], first)
      await run('git', [...proxied, 'push', '-q', 'origin', 'HEAD:main'], first)
      await run('git', [...proxied, ...clone.with(-1, 'second'), '-b', 'main'], home)
      expect(readFileSync(join(home, 'second', 'file')).equals(file)).toBe(true)
      expect(forwarded()).toBeGreaterThan(before)
    },
  )

  it('npm asks a registry', async () => {
    const { port } = await serveHttp((_request, response) => {
      const versions = { '1.2.3': { name: 'a-package', version: '1.2.3' } }
      response.end(
        JSON.stringify({ name: 'a-package', 'dist-tags': { latest: '1.2.3' }, versions }),
      )
    })
    const before = forwarded()
    const registry = ['--registry', `http://127.0.0.1:${port}/`, '--cache', join(folder, 'npm')]
    const proxied = ['--proxy', proxy, '--noproxy', '', '--no-update-notifier']
    const args = ['view', 'a-package', 'version', ...registry, ...proxied]
    expect(await run('npm', args)).toBe('1.2.3\n')
    expect(forwarded()).toBeGreaterThan(before)
  })

  it.skipIf(!has('python3', '-m', 'pip', '--version'))(
    'pip asks an index, and Python opens a tunnel as of HTTP/1.0 (only where pip is installed)',
    async () => {
      const { port } = await serveHttp((_request, response) => {
        response.setHeader('Content-Type', 'text/html')
        response.end('<a href="a_package-1.2.3-py3-none-any.whl">a_package</a>')
      })
      const before = forwarded()
      const index = ['--index-url', `http://127.0.0.1:${port}/simple/`, '--proxy', proxy]
      const args = ['-m', 'pip', '--disable-pip-version-check', 'index', 'versions', 'a-package']
      expect(await run('python3', [...args, ...index])).toMatch(/a-package \(1\.2\.3\)/)
      expect(forwarded()).toBeGreaterThan(before)
      const script = [
        'import http.client, sys',
        'c = http.client.HTTPConnection(sys.argv[1])',
        'c.set_tunnel("127.0.0.1", int(sys.argv[2]))',
        'c.request("GET", "/python")',
        'print(c.getresponse().read().decode())',
      ].join('\n')
      const tunnelled = await run('python3', ['-c', script, client.proxy, String(origin)])
      expect(tunnelled).toMatch(/^GET 127\.0\.0\.1:\d+ \/python 0 /)
    },
  )

  it.skipIf(!has('apt-get', '--version'))(
    'apt-get updates its lists, many requests at once (only where apt is installed)',
    async () => {
      const asked: string[] = []
      const { port } = await serveHttp(({ url = '' }, response) => {
        asked.push(url)
        if (url.endsWith('/Packages')) response.end('Package: a\nVersion: 1\nArchitecture: all\n')
        else response.writeHead(404).end()
      })
      const home = join(folder, 'apt')
      for (const part of ['lists/partial', 'cache/archives/partial', 'parts', 'dpkg']) {
        mkdirSync(join(home, part), { recursive: true })
      }
      writeFileSync(join(home, 'list'), `deb [trusted=yes] http://127.0.0.1:${port} ./\n`)
      writeFileSync(join(home, 'dpkg/status'), '')
      const options = [
        ...[`Dir::Etc::sourcelist=${home}/list`, `Dir::Etc::sourceparts=${home}/parts`],
        ...[`Dir::State::lists=${home}/lists`, `Dir::Cache=${home}/cache`],
        ...[`Dir::State::status=${home}/dpkg/status`, `Acquire::http::Proxy=${proxy}`],
        ...['Acquire::Languages=none', 'APT::Sandbox::User='],
      ].flatMap((option) => ['-o', option])
      const before = forwarded()
      expect(await run('apt-get', [...options, 'update'])).toMatch(/Packages/)
      expect(asked.length).toBeGreaterThan(1)
      expect(forwarded()).toBeGreaterThan(before)
    },
  )

  it.skipIf(process.env.ANYTLS_LONG !== 'true' || !has('javac', '-version'))(
    'Java, its old and its new client, which asks for h2c by itself, and SOCKS (only with ANYTLS_LONG=true where a JDK is installed: npm run test:two-ends)',
    async () => {
      const program = join(folder, 'Ask.java')
      writeFileSync(program, JAVA)
      const [host = '', port = ''] = client.proxy.split(':')
      const url = `http://127.0.0.1:${origin}/java`
      expect((await run('java', [program, host, port, url])).trim().split('\n')).toEqual(
        ['GET', 'GET', 'POST', 'GET'].map(
          (method) =>
            expect.stringMatching(
              new RegExp(`^${method} 127.0.0.1:\\d+ /java ${method === 'GET' ? 0 : 3} `),
            ) as unknown,
        ),
      )
    },
  )
})

/** Prints what an origin answers, by four ways to ask for it. */
const JAVA = `
import java.net.*;
import java.net.http.*;
public class Ask {
  public static void main(String[] args) throws Exception {
    System.setProperty("http.nonProxyHosts", "");
    InetSocketAddress address = new InetSocketAddress(args[0], Integer.parseInt(args[1]));
    URL url = new URL(args[2]);
    System.out.print(read(url, new Proxy(Proxy.Type.HTTP, address)));
    HttpClient client = HttpClient.newBuilder().proxy(ProxySelector.of(address)).build();
    HttpRequest.Builder request = HttpRequest.newBuilder(url.toURI());
    System.out.print(client.send(request.build(), HttpResponse.BodyHandlers.ofString()).body());
    HttpRequest post = request.POST(HttpRequest.BodyPublishers.ofString("a=b")).build();
    System.out.print(client.send(post, HttpResponse.BodyHandlers.ofString()).body());
    System.out.print(read(url, new Proxy(Proxy.Type.SOCKS, address)));
  }
  static String read(URL url, Proxy proxy) throws Exception {
    return new String(url.openConnection(proxy).getInputStream().readAllBytes());
  }
}
`

/** Git's own server, as a web server runs it. */
function serveGit(request: IncomingMessage, response: ServerResponse): void {
  const { pathname, searchParams } = new URL(request.url ?? '', 'http://x')
  const child = spawn('git', ['http-backend'], {
    env: {
      PATH: process.env.PATH,
      GIT_PROJECT_ROOT: join(folder, 'git'),
      GIT_HTTP_EXPORT_ALL: '1',
      REMOTE_USER: 'a',
      PATH_INFO: pathname,
      QUERY_STRING: String(searchParams),
      REQUEST_METHOD: request.method,
      CONTENT_TYPE: request.headers['content-type'],
      HTTP_CONTENT_ENCODING: request.headers['content-encoding'],
    },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  request.pipe(child.stdin)
  const chunks: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk))
  child.stdout.on('end', () => {
    const answer = Buffer.concat(chunks)
    const end = answer.indexOf('\r\n\r\n')
    for (const line of answer.toString('latin1', 0, end).split('\r\n')) {
      const [, name = '', value = ''] = /^([^:]*): *(.*)$/.exec(line) ?? []
      if (name === 'Status') response.statusCode = Number(value.slice(0, 3))
      else response.setHeader(name, value)
    }
    response.end(answer.subarray(end + 4))
  })
}
