// The options of net-mux: defaults, limits, messages.
import { describe, expect, it } from 'vitest'
import { DEFAULT_NETMUX_CONFIG, parseNetMuxConfig } from '../../../src/wires/netmux/config.ts'
import type { NetMuxConfig } from '../../../src/wires/netmux/config.ts'
import { AnyTlsError } from '../../../src/errors.ts'
import { thrownBy } from '../../codec/vectors.ts'

describe('parseNetMuxConfig', () => {
  it('net-mux: the defaults are those of the crate', () => {
    expect(parseNetMuxConfig({})).toEqual({
      initialStreamWindow: 262_144,
      maxFrameSize: 65_536,
      maxStreams: 1_024,
      keepaliveInterval: 30_000,
      keepaliveTimeout: 30_000,
      openTimeout: 10_000,
    })
  })

  it('what is given overrides a default, undefined does not, and the result is frozen', () => {
    const config = parseNetMuxConfig({ maxStreams: 3, openTimeout: undefined })
    expect(config).toEqual({ ...DEFAULT_NETMUX_CONFIG, maxStreams: 3 })
    expect(Object.isFrozen(config)).toBe(true)
  })

  it('what is no setting is not taken over', () => {
    expect(parseNetMuxConfig({ autoAccept: false } as object)).toEqual(DEFAULT_NETMUX_CONFIG)
  })

  it('the smallest and the largest of each are taken, whatever lies beyond is refused by name', () => {
    const limits: Record<keyof NetMuxConfig, { good: number[]; bad: number[] }> = {
      initialStreamWindow: { good: [1, 0xffff_ffff], bad: [0, -1, 0x1_0000_0000, 1.5] },
      maxFrameSize: { good: [1, 16_777_216], bad: [0, 16_777_217, NaN] },
      maxStreams: { good: [1, 0xffff_ffff], bad: [0, -5, 2.5, Infinity] },
      keepaliveInterval: { good: [1, 0.5, Infinity], bad: [0, -1, NaN] },
      keepaliveTimeout: { good: [1, Infinity], bad: [0, -1, NaN] },
      openTimeout: { good: [1, Infinity], bad: [0, -1, NaN] },
    }
    for (const [name, { good, bad }] of Object.entries(limits)) {
      for (const value of good) expect(parseNetMuxConfig({ [name]: value })).toBeDefined()
      for (const value of bad) {
        const error = thrownBy(() => parseNetMuxConfig({ [name]: value }), `${name} ${value}`)
        expect(error).toBeInstanceOf(AnyTlsError)
        expect(error).toMatchObject({ code: 'ERR_OPTION_INVALID' })
        expect(String(error), `${name} ${value}`).toContain(`${name} must be`)
      }
    }
  })
})
