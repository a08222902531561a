// The public face of `anytls/shaping`: read, check and sum up a padding scheme, shape with it, simulate it, hold it
// against records; in any JavaScript runtime that has TextEncoder and TextDecoder.
// Must never import a module of Node, or define anything but the table of the wires.
import { V1_WIRE } from './harness/simulate/v1-model.ts'
import { LEGACY_WIRE } from './harness/simulate/legacy-model.ts'

export { RECORD_OVERHEAD } from './codec/tls-record.ts'
export { AnyTlsError, SchemeError } from './errors.ts'
export type { ErrorCode } from './errors.ts'
export { DEFAULT_SCHEME_LIMITS, LANGUAGE_LIMITS, type SchemeLimits } from './shaping/limits.ts'
export {
  checkScheme,
  type SchemeCheck,
  type SchemeProblem,
  type SchemeRule,
} from './shaping/scheme-check.ts'
export type { SchemeContent } from './shaping/scheme-reader.ts'
export { type SchemeItem } from './shaping/scheme-items.ts'
export {
  type DeliverSummary,
  type SchemeSummary,
  type Spread,
  summarizeScheme,
} from './shaping/scheme-summary.ts'
export {
  DEFAULT_SCHEME,
  DEFAULT_SCHEME_TEXT,
  encodeScheme,
  formatScheme,
  parsePeerScheme,
  parseRawScheme,
  parseScheme,
  type Scheme,
} from './shaping/scheme.ts'
export { NAMED_SCHEMES, type NamedScheme, type SchemeName } from './shaping/named-schemes.ts'
export { MemorySchemeStore, type SchemeStore } from './shaping/scheme-store.ts'
export {
  type DeliverOptions,
  type PaddingFormat,
  type RandomInt,
  Shaper,
} from './shaping/shaper.ts'
export { seededRandomInt } from './harness/simulate/seeded-random.ts'
export {
  type AllowedSizes,
  expectShape,
  type ExpectShapeOptions,
  ShapeError,
  type ShapeExpectation,
} from './harness/expect-shape.ts'
export type { HandshakeRecords } from './harness/report/from-capture.ts'
export type { CaptureHeader, CloseEvent, RecordEvent } from './harness/capture/capture-event.ts'
export {
  type CapturedConnection,
  type CapturedRecord,
  parseCapture,
  type ParsedCapture,
} from './harness/capture/capture-parser.ts'
export {
  DEFAULT_FLUSH_TIME,
  simulate,
  type SimulatedDeliver,
  type SimulatedWrite,
  simulateRuns,
  type SimulationOptions,
} from './harness/simulate/simulate.ts'
export {
  type DirectionSummary,
  parseSimulation,
  type SchemeText,
  type SimulatedRecord,
  type Simulation,
} from './harness/simulate/simulation.ts'
export type {
  ModelConnection,
  ModelDeliver,
  WireModel,
  WireName,
} from './harness/simulate/wire-model.ts'
export {
  type Direction,
  parseWorkload,
  type Workload,
  WORKLOAD_LIMITS,
  type WorkloadEvent,
} from './harness/simulate/workload.ts'
export { WORKLOADS } from './harness/simulate/workloads.ts'

/** The wires, for {@link simulate}. */
export const WIRES = Object.freeze({
  /** ANYTLS version 1. */
  v1: V1_WIRE,
  /** The original AnyTLS wire. */
  legacy: LEGACY_WIRE,
})
