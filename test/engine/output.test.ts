// The order of Writes around the beginning and the end of shaping.
import { describe, expect, it } from 'vitest'
import { Output } from '../../src/engine/output.ts'
import { PADDING_FORMAT } from '../../src/wires/anytls/frame-encoder.ts'
import { parseScheme } from '../../src/shaping/scheme.ts'
import { seededRandomInt } from '../support/seeded-random.ts'

describe('Output', () => {
  it('what was delivered before shaping leaves before it, what comes after it leaves after it', () => {
    const output = new Output()
    output.deliver([Uint8Array.of(1), Uint8Array.of(2)])
    output.deliver([Uint8Array.of(3)])
    output.startShaping(parseScheme('stop=2\n1=1-1,1-1'), seededRandomInt(1), PADDING_FORMAT)
    output.deliver([Uint8Array.of(4), Uint8Array.of(5)])
    output.deliver([Uint8Array.of(6), Uint8Array.of(7)])
    output.deliver([Uint8Array.of(8)])
    output.deliver([Uint8Array.of(9)])
    expect(
      output
        .take()
        .map(({ parts, bytes, shaped }) => [parts.map((part) => [...part]), bytes, shaped]),
    ).toEqual([
      [[[1], [2], [3]], 3, false],
      [[[4, 5]], 2, true],
      [[[6]], 1, true],
      [[[7]], 1, true],
      [[[8], [9]], 2, false],
    ])
    expect(output.take()).toEqual([])
  })
})
