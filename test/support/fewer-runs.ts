// fast-check for mutation testing, which runs each property once for each mutant: fifty cases at most find what a
// mutant breaks, or nearly always.
import fc from 'fast-check'

const MOST = 50

const assert = (<Ts>(property: fc.IRawProperty<Ts>, params?: fc.Parameters<Ts>) =>
  fc.assert(property, {
    ...params,
    numRuns: Math.min(params?.numRuns ?? 100, MOST),
  })) as typeof fc.assert

export default { ...fc, assert }
