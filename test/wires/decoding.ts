// Runs a decoder over chunks, shows what came out in a form that compares, and holds decoders to the vectors of violations.
import { expect } from 'vitest'
import { AnyTlsError } from '../../src/errors.ts'
import type { FrameReader } from '../../src/codec/frame-reader.ts'
import { concatBytes } from '../../src/codec/bytes.ts'
import { embedded, thrownBy, toHex } from '../codec/vectors.ts'
import type { ViolationVectorOf } from '../codec/vectors.ts'
import { fromRuns, pieces } from './anytls/support.ts'

interface AnyFrame {
  readonly type: string
}

/** All frames of the chunks, adjacent pieces of data joined, as {@link shown}. */
export function decodeAll<Frame extends AnyFrame>(
  decoder: FrameReader<Frame>,
  chunks: readonly Uint8Array[],
): unknown[] {
  const frames: Frame[] = []
  for (const chunk of chunks) {
    decoder.push(chunk)
    for (let frame = decoder.next(); frame !== undefined; frame = decoder.next()) frames.push(frame)
  }
  return joined(frames).map(shown)
}

/** Adjacent pieces of data in one. */
export function joined<Frame extends AnyFrame>(frames: readonly Frame[]): Frame[] {
  const list: Frame[] = []
  for (const frame of frames) {
    const [before, data] = [dataOf(list.at(-1)), dataOf(frame)]
    if (before !== undefined && data !== undefined) {
      list[list.length - 1] = { ...frame, data: concatBytes([before, data]) }
    } else {
      list.push(frame)
    }
  }
  return list
}

function dataOf(frame: AnyFrame | undefined): Uint8Array | undefined {
  return frame !== undefined && 'data' in frame && frame.data instanceof Uint8Array
    ? frame.data
    : undefined
}

/** A frame with its bytes as hex, which compares faster than an array of numbers. */
export function shown(frame: object): unknown {
  const fields = Object.entries(frame) as [string, unknown][]
  return Object.fromEntries(
    fields.map(([key, value]) => [key, value instanceof Uint8Array ? toHex(value) : value]),
  )
}

/** Each vector gives its frames, and its violation with the very byte that makes it one. */
export function checkViolations<Json, Frame extends AnyFrame>(
  vectors: readonly ViolationVectorOf<Json>[],
  makeDecoder: () => FrameReader<Frame>,
  frameOf: (json: Json) => Frame,
): void {
  for (const { section, name, hex, at, message, frames = [] } of vectors) {
    const title = `${section}: ${name}`
    const bytes = fromRuns(hex)
    const decoder = makeDecoder()
    const before = pieces(bytes.subarray(0, at - 1), 1)
    expect(decodeAll(decoder, before), title).toEqual(frames.map(frameOf).map(shown))
    decoder.push(bytes.subarray(at - 1, at))
    expectViolation(() => decoder.next(), message, title)
  }
}

/** Each vector says the same when it comes in one piece. */
export function checkViolationsWhole<Json, Frame extends AnyFrame>(
  vectors: readonly ViolationVectorOf<Json>[],
  makeDecoder: () => FrameReader<Frame>,
  frameOf: (json: Json) => Frame,
): void {
  for (const { section, name, hex, message, frames = [] } of vectors) {
    const title = `${section}: ${name}`
    const decoder = makeDecoder()
    decoder.push(embedded(fromRuns(hex)))
    for (const frame of frames) expect(decoder.next(), title).toEqual(frameOf(frame))
    expectViolation(() => decoder.next(), message, title)
  }
}

function expectViolation(action: () => unknown, message: string, title: string): void {
  const error = thrownBy(action, title)
  expect(error, title).toBeInstanceOf(AnyTlsError)
  if (!(error instanceof AnyTlsError)) return
  expect(error.code, title).toBe('ERR_PROTOCOL_VIOLATION')
  expect(error.message, title).toContain(message)
}
