// How far two samples are apart, by two standard measures.

/**
 * The two-sample Kolmogorov-Smirnov statistic D: the largest difference between the two empirical
 * distribution functions. 0: the same distribution; 1: no overlap.
 *
 * @param a at least one finite number; b, too
 */
export function kolmogorovSmirnov(a: readonly number[], b: readonly number[]): number {
  let largest = 0
  for (const { difference } of steps(a, b)) largest = Math.max(largest, difference)
  return largest
}

/**
 * The first Wasserstein distance, also called earth mover's: the area between the two empirical
 * distribution functions, in the unit of the samples. By so much, on average, each value of one would
 * have to be moved to make the other.
 *
 * @param a at least one finite number; b, too
 */
export function wasserstein(a: readonly number[], b: readonly number[]): number {
  let area = 0
  for (const { difference, width } of steps(a, b)) area += difference * width
  return area
}

/** How the distribution functions differ from each value of either sample to the next. */
function* steps(
  a: readonly number[],
  b: readonly number[],
): Generator<{ readonly difference: number; readonly width: number }> {
  const [first, second] = [sorted(a), sorted(b)]
  let [i, j] = [0, 0]
  while (i < first.length || j < second.length) {
    const value = Math.min(first[i] ?? Infinity, second[j] ?? Infinity)
    while (first[i] === value) i += 1
    while (second[j] === value) j += 1
    const next = Math.min(first[i] ?? Infinity, second[j] ?? Infinity)
    const difference = Math.abs(i / first.length - j / second.length)
    yield { difference, width: next === Infinity ? 0 : next - value }
  }
}

function sorted(sample: readonly number[]): Float64Array {
  return Float64Array.from(sample).sort()
}
