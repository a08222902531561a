// A real nginx on loopback, as somebody has it behind the server.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { closedPort } from '../proxy/support.ts'
import { isOpen } from '../support/daemon.ts'
import { requireProgram } from '../support/programs.ts'
import { folder, whenDone } from './support.ts'

export const nginxProgram = requireProgram('nginx')

/** Where it listens: each port speaks one thing. */
export interface Nginx {
  /** HTTP/1.1. */
  readonly http1: number
  /** HTTP/2 with prior knowledge. */
  readonly h2: number
  /** The same two behind a PROXY protocol header. */
  readonly proxied: number
  readonly proxiedH2: number
}

/**
 * Starts nginx with a static site, `files` by path. `/whoami` answers with the address and port of the
 * client that the PROXY protocol named, `/app/` goes on to the HTTP server on port `app`.
 */
export async function startNginx(
  files: Readonly<Record<string, string | Buffer>>,
  app: number,
): Promise<Nginx> {
  const home = join(folder, 'nginx')
  mkdirSync(join(home, 'site'), { recursive: true })
  for (const [path, content] of Object.entries(files)) {
    writeFileSync(join(home, 'site', path), content)
  }
  const ports = []
  while (ports.length < 4) ports.push(await closedPort())
  const [http1 = 0, h2 = 0, proxied = 0, proxiedH2 = 0] = ports
  const config = join(home, 'nginx.conf')
  writeFileSync(config, configuration(home, app, { http1, h2, proxied, proxiedH2 }))
  const child = spawn(nginxProgram.path, ['-p', home, '-c', config, '-e', 'stderr'], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
  const ended = once(child, 'close')
  whenDone(() => {
    child.kill('SIGKILL')
    return ended
  })
  for (const port of ports) {
    while (!(await isOpen(port))) {
      if (child.exitCode !== null) throw new Error(`nginx has ended: ${said}`)
      await setTimeout(20)
    }
  }
  return { http1, h2, proxied, proxiedH2 }
}

function configuration(home: string, app: number, ports: Nginx): string {
  return `
daemon off;
master_process off;
error_log stderr crit;
pid ${home}/pid;
events {}
http {
  access_log off;
  types { text/html html; text/css css; }
  client_body_temp_path ${home}/body;
  proxy_temp_path ${home}/proxy;
  fastcgi_temp_path ${home}/fastcgi;
  uwsgi_temp_path ${home}/uwsgi;
  scgi_temp_path ${home}/scgi;
  server {
    listen 127.0.0.1:${ports.http1};
    listen 127.0.0.1:${ports.h2} http2;
    listen 127.0.0.1:${ports.proxied} proxy_protocol;
    listen 127.0.0.1:${ports.proxiedH2} http2 proxy_protocol;
    root ${home}/site;
    location /app/ {
      proxy_pass http://127.0.0.1:${app};
      proxy_set_header Host $host;
    }
    location = /whoami {
      return 200 "$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_port";
    }
  }
}
`
}
