// A real DNS server on loopback that knows a few names and asks nobody else.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { userInfo } from 'node:os'
import { setTimeout } from 'node:timers/promises'
import { bindUdp } from '../support/socks5-udp.ts'
import { requireProgram } from '../support/programs.ts'
import { whenDone } from './support.ts'

export const dnsmasqProgram = requireProgram('dnsmasq')

/** Starts dnsmasq with `names` and their addresses; returns its port on 127.0.0.1. */
export async function startDnsmasq(
  names: Readonly<Record<string, readonly string[]>>,
): Promise<number> {
  const addresses = Object.entries(names).flatMap(([name, list]) =>
    list.map((address) => `--address=/${name}/${address}`),
  )
  // It listens on TCP and UDP, and a port that is free for one may be taken on the other by then.
  for (let left = 5; ; left--) {
    const port = await freeUdpPort()
    const said = await started(port, addresses)
    if (said === undefined) return port
    if (left === 0 || !said.includes('Address already in use')) {
      throw new Error(`dnsmasq has ended: ${said}`)
    }
  }
}

/** Resolves once dnsmasq answers on `port`, or with what it said when it has ended instead. */
async function started(port: number, addresses: readonly string[]): Promise<string | undefined> {
  const child = spawn(
    dnsmasqProgram.path,
    [
      '--keep-in-foreground',
      '--log-facility=-',
      '--conf-file=/dev/null',
      '--pid-file',
      '--no-resolv',
      '--no-hosts',
      '--bind-interfaces',
      '--listen-address=127.0.0.1',
      `--port=${port}`,
      `--user=${userInfo().username}`,
      ...addresses,
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  )
  const ended = once(child, 'close')
  whenDone(() => {
    child.kill('SIGKILL')
    return ended
  })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
  while (!said.includes('started')) {
    if (child.exitCode !== null) {
      await ended
      return said
    }
    await setTimeout(20)
  }
  return undefined
}

async function freeUdpPort(): Promise<number> {
  const socket = await bindUdp()
  const { port } = socket.address()
  socket.close()
  await once(socket, 'close')
  return port
}
