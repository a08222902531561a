// Which addresses are dialled for whom.
import { networkInterfaces } from 'node:os'
import { describe, expect, it } from 'vitest'
import { parseNetwork } from '../../src/codec/network.ts'
import { TargetPolicy } from '../../src/serve/targets.ts'

const ADDED = { allowPrivate: false }
const FREE = { allowPrivate: true }

describe('Issue 12.3: targets', () => {
  it.each([
    ...[
      '127.0.0.1',
      '127.255.0.1',
      '0.0.0.0',
      '10.1.2.3',
      '172.16.0.1',
      '172.31.255.255',
      '192.168.0.1',
    ],
    ...['169.254.169.254', '100.64.0.1', '198.18.0.1', '224.0.0.1', '240.0.0.1', '255.255.255.255'],
    ...[
      '::',
      '::1',
      '::127.0.0.1',
      '::ffff:127.0.0.1',
      '::ffff:10.0.0.1',
      '::ffff:0:10.0.0.1',
      'fe80::1',
    ],
    ...[
      'fe80::1%eth0',
      'fec0::1',
      'fc00::1',
      'fd12::1',
      'ff02::1',
      '2001:db8::1',
      '2002:7f00:1::1',
    ],
    ...['64:ff9b::127.0.0.1', '64:ff9b::a00:1', '64:ff9b:1::1', '2001::1', '100::1'],
    ...['localhost', '', '127.1', '2130706433', '0x7f000001'],
  ])('%s is not for users who were added', (address) => {
    expect(new TargetPolicy().allows(ADDED, address, 80)).toBe(false)
  })

  it.each([
    '1.1.1.1',
    '8.8.8.8',
    '172.32.0.1',
    '100.128.0.1',
    '2606:4700::1111',
    '64:ff9b::1.1.1.1',
    '::ffff:1.1.1.1',
  ])('%s is for everybody', (address) => {
    const policy = new TargetPolicy({ block: ['private'] })
    expect([ADDED, FREE, undefined].map((rights) => policy.allows(rights, address, 80))).toEqual([
      true,
      true,
      true,
    ])
  })

  it('the addresses of this machine are not, public or not', () => {
    const own = Object.values(networkInterfaces()).flatMap((ones) => ones ?? [])
    for (const { address } of own) expect(new TargetPolicy().allows(ADDED, address, 80)).toBe(false)
  })

  it('--allow-private reaches private addresses; --block holds for everybody', () => {
    expect(new TargetPolicy().allows(FREE, '10.0.0.1', 80)).toBe(true)
    expect(new TargetPolicy().allows(undefined, '127.0.0.1', 80)).toBe(true)
    const blocked = new TargetPolicy({
      block: [parseNetwork('10.0.0.0/8'), parseNetwork('1.1.1.1')],
    })
    for (const rights of [ADDED, FREE, undefined]) {
      expect(blocked.allows(rights, '10.0.0.1', 80)).toBe(false)
      expect(blocked.allows(rights, '::ffff:1.1.1.1', 80)).toBe(false)
      expect(blocked.allows(rights, '1.1.1.2', 80)).toBe(true)
    }
    const all = new TargetPolicy({ block: ['private'] })
    for (const rights of [FREE, undefined])
      expect(all.allows(rights, '192.168.1.1', 80)).toBe(false)
  })

  it('what is reserved is dialled for nobody, by any way to it, until it is given free', () => {
    const policy = new TargetPolicy()
    const free = policy.reserve({ host: '127.0.0.1', port: 9000 })
    policy.reserve({ host: '0.0.0.0', port: 9001 })
    policy.reserve({ host: '198.51.100.7', port: 6379 })
    for (const address of ['127.0.0.1', '::ffff:127.0.0.1', '0.0.0.0', '::']) {
      expect(policy.allows(undefined, address, 9000), address).toBe(false)
    }
    expect(policy.allows(undefined, '127.0.0.1', 9002)).toBe(true)
    const own = Object.values(networkInterfaces()).flatMap((ones) => ones ?? [])
    for (const address of ['127.0.0.1', '127.0.0.9', '::1', ...own.map((one) => one.address)]) {
      expect(policy.allows(FREE, address, 9001), address).toBe(false)
    }
    expect(policy.allows(FREE, '198.51.100.7', 6379)).toBe(false)
    expect(policy.allows(FREE, '198.51.100.7', 80)).toBe(true)
    free()
    expect(policy.allows(undefined, '127.0.0.1', 9000)).toBe(true)
  })
})
