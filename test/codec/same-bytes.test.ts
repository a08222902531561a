// Comparing with a secret: the answer, and that nothing of it shows in what is looked at.
import { describe, expect, it } from 'vitest'
import { holdsSecret } from '../../src/codec/same-bytes.ts'

const SECRET = Uint8Array.from({ length: 32 }, (_, index) => index + 1)

/** `bytes`, and how many of them were read. */
function counted(bytes: Uint8Array): { readonly bytes: Uint8Array; reads: number } {
  const watched = {
    reads: 0,
    bytes: new Proxy(bytes, {
      get(target, name) {
        if (typeof name === 'string' && /^\d+$/.test(name)) watched.reads += 1
        return Reflect.get(target, name, target) as unknown
      },
    }),
  }
  return watched
}

describe('holdsSecret', () => {
  it('finds the secret where it is, and nowhere else', () => {
    const bytes = new Uint8Array([0, 0, ...SECRET, 9])
    expect(holdsSecret(bytes, 2, SECRET, 32)).toBe(true)
    expect(holdsSecret(bytes, 1, SECRET, 32)).toBe(false)
    expect(holdsSecret(bytes, 3, SECRET, 32)).toBe(false)
    expect(holdsSecret(bytes, 2, SECRET, 31)).toBe(true)
  })

  it('takes a byte that is missing for no byte, and least of all for the zero that a secret may end in', () => {
    const zeros = new Uint8Array(4)
    expect(holdsSecret(zeros, 0, zeros, 4)).toBe(true)
    expect(holdsSecret(zeros, 1, zeros, 4)).toBe(false)
  })

  it('D13: every byte of both is looked at, wherever the first difference is and whatever is missing', () => {
    const inputs = [SECRET, new Uint8Array(32), SECRET.subarray(0, 31), new Uint8Array(0)]
    for (let at = 0; at < 32; at += 1) {
      const near = SECRET.slice()
      near[at] = 0xff
      inputs.push(near)
    }
    for (const input of inputs) {
      const [bytes, secret] = [counted(input), counted(SECRET)]
      holdsSecret(bytes.bytes, 0, secret.bytes, 32)
      expect([bytes.reads, secret.reads]).toEqual([32, 32])
    }
  })
})
