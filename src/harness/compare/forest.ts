// A random forest that tells two classes apart (Breiman, "Random Forests", 2001): trees on bootstrap samples, each
// split the best of a few features drawn at random, every leaf pure or no longer to be split.
// Must never draw from anything but the source that it is given: the same seed grows the same trees.

import type { RandomInt } from '../../shaping/shaper.ts'

/** Values are looked at as one of so many bins; where there are no more distinct values, nothing is lost. */
const BINS = 256

/** By feature: the bin of each sample. Bins ascend with the values. */
export type Columns = readonly Uint8Array[]

/**
 * Sorts the values of each feature into bins that hold about equally many.
 *
 * @param rows by sample, the values of its features, all finite
 */
export function binColumns(rows: readonly Float32Array[]): Columns {
  return Array.from(rows[0] ?? [], (_, feature) => {
    const values = Float32Array.from(rows, (row) => row[feature] ?? 0)
    const sorted = values.slice().sort()
    const distinct = sorted.filter((value, place) => place === 0 || value !== sorted[place - 1])
    const edges =
      distinct.length <= BINS
        ? distinct
        : Float32Array.from({ length: BINS }, (_, bin) => {
            return sorted[Math.floor((bin * sorted.length) / BINS)] ?? 0
          })
    return Uint8Array.from(values, (value) => lastAtMost(edges, value))
  })
}

/** The last place that holds no more than `value`; `edges` ascend, and the first is no more than it. */
function lastAtMost(edges: Float32Array, value: number): number {
  let [low, high] = [0, edges.length - 1]
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if ((edges[middle] ?? Infinity) <= value) low = middle
    else high = middle - 1
  }
  return low
}

export interface ForestOptions {
  readonly trees: number
  /** Each tree learns from as many draws as there are samples to learn from, but no more than these. */
  readonly maxDraws: number
  readonly randomInt: RandomInt
}

/** A forest that has been grown. */
export interface Forest {
  /** The mean over the trees of the share of class 1 in the leaf that a sample comes to: 0 to 1. */
  score(sample: number): number
  /** By feature: by how much its splits lower the Gini impurity, in all trees; the sum is 1, or 0 without splits. */
  readonly importance: Float64Array
}

/**
 * Grows a forest; each split looks at the square root of the number of features.
 *
 * @param classes of each sample, 0 or 1
 * @param training the samples to learn from
 */
export function growForest(
  columns: Columns,
  classes: Uint8Array,
  training: Int32Array,
  { trees, maxDraws, randomInt }: ForestOptions,
): Forest {
  const grower = new Grower(columns, classes, randomInt)
  const grown = Array.from({ length: trees }, () => {
    const drawn = new Int32Array(Math.min(training.length, maxDraws))
    for (let place = 0; place < drawn.length; place += 1) {
      drawn[place] = training[randomInt(0, training.length)] ?? 0
    }
    return grower.grow(drawn)
  })
  const total = grower.importance.reduce((sum, value) => sum + value, 0)
  return {
    importance: grower.importance.map((value) => (total > 0 ? value / total : 0)),
    score(sample) {
      let sum = 0
      for (const tree of grown) sum += leafOf(tree, columns, sample)
      return sum / trees
    },
  }
}

/**
 * The nodes, the root first. A node with a feature sends samples whose bin is at most `border` to `next`, others
 * to `next` + 1; a leaf has feature -1.
 */
interface Tree {
  readonly feature: Int16Array
  readonly border: Uint8Array
  readonly next: Int32Array
  readonly share: Float32Array
}

function leafOf({ feature, border, next, share }: Tree, columns: Columns, sample: number): number {
  let node = 0
  for (;;) {
    const column = columns[feature[node] ?? -1]
    if (column === undefined) return share[node] ?? 0
    node = (next[node] ?? 0) + ((column[sample] ?? 0) > (border[node] ?? 0) ? 1 : 0)
  }
}

interface Split {
  readonly feature: number
  readonly border: number
  /** By how much it lowers the impurity, times the number of samples. */
  readonly gain: number
}

class Grower {
  readonly importance: Float64Array
  readonly #columns: Columns
  readonly #classes: Uint8Array
  readonly #randomInt: RandomInt
  readonly #order: Int32Array
  readonly #tried: number
  /** Of the node and feature being looked at, the bins that occur: which, how often, how often in class 1. */
  readonly #values = new Int32Array(BINS)
  readonly #counts = new Int32Array(BINS)
  readonly #ones = new Int32Array(BINS)
  /** To find them with. */
  readonly #allOfBin = new Int32Array(BINS)
  readonly #onesOfBin = new Int32Array(BINS)
  readonly #keys = new Int32Array(SMALL)

  constructor(columns: Columns, classes: Uint8Array, randomInt: RandomInt) {
    this.importance = new Float64Array(columns.length)
    this.#columns = columns
    this.#classes = classes
    this.#randomInt = randomInt
    // Those that are the same in all samples are never worth a look.
    this.#order = Int32Array.from(columns.keys()).filter((feature) => {
      const column = columns[feature] ?? NO_COLUMN
      return column.some((bin) => bin !== column[0])
    })
    this.#tried = Math.max(1, Math.floor(Math.sqrt(columns.length)))
  }

  /** @param samples to be put in another order here */
  grow(samples: Int32Array): Tree {
    // Each split leaves no side empty, so there are fewer than twice as many nodes as samples.
    const most = 2 * samples.length
    const tree = {
      feature: new Int16Array(most).fill(-1),
      border: new Uint8Array(most),
      next: new Int32Array(most),
      share: new Float32Array(most),
    }
    let nodes = 1
    const waiting: [node: number, from: number, to: number][] = [[0, 0, samples.length]]
    for (let job = waiting.pop(); job !== undefined; job = waiting.pop()) {
      const [node, from, to] = job
      let ones = 0
      for (let place = from; place < to; place += 1) ones += this.#classes[samples[place] ?? 0] ?? 0
      tree.share[node] = ones / (to - from)
      if (ones === 0 || ones === to - from) continue
      const split = this.#bestSplit(samples, from, to, ones)
      if (split === undefined) continue
      this.importance[split.feature] = (this.importance[split.feature] ?? 0) + split.gain
      const middle = this.#divide(samples, from, to, split)
      tree.feature[node] = split.feature
      tree.border[node] = split.border
      tree.next[node] = nodes
      waiting.push([nodes, from, middle], [nodes + 1, middle, to])
      nodes += 2
    }
    const { feature, border, next, share } = tree
    return {
      feature: feature.slice(0, nodes),
      border: border.slice(0, nodes),
      next: next.slice(0, nodes),
      share: share.slice(0, nodes),
    }
  }

  /** Features that are the same in all samples of the node do not count as tried. */
  #bestSplit(samples: Int32Array, from: number, to: number, ones: number): Split | undefined {
    const order = this.#order
    let best: Split | undefined
    let tried = 0
    for (let place = 0; place < order.length && tried < this.#tried; place += 1) {
      const other = this.#randomInt(place, order.length)
      const feature = order[other] ?? 0
      order[other] = order[place] ?? 0
      order[place] = feature
      const split = this.#splitBy(feature, samples, from, to, ones)
      if (split === undefined) continue
      tried += 1
      if (best === undefined || split.gain > best.gain) best = split
    }
    return best
  }

  #splitBy(
    feature: number,
    samples: Int32Array,
    from: number,
    to: number,
    ones: number,
  ): Split | undefined {
    const column = this.#columns[feature]
    if (column === undefined) return undefined
    const groups =
      to - from > SMALL
        ? this.#count(column, samples, from, to)
        : this.#sort(column, samples, from, to)
    const [values, counts, counted] = [this.#values, this.#counts, this.#ones]
    const all = to - from
    // The impurity of n samples with k ones, times n, is 2k(n-k)/n.
    const before = (2 * ones * (all - ones)) / all
    let lower = 0
    let lowerOnes = 0
    let bestGain = -1
    let border = -1
    for (let group = 0; group < groups - 1; group += 1) {
      lower += counts[group] ?? 0
      lowerOnes += counted[group] ?? 0
      const upper = all - lower
      const upperOnes = ones - lowerOnes
      const after =
        (2 * lowerOnes * (lower - lowerOnes)) / lower +
        (2 * upperOnes * (upper - upperOnes)) / upper
      if (before - after > bestGain) {
        bestGain = before - after
        // Halfway to the next value that there is.
        border = ((values[group] ?? 0) + (values[group + 1] ?? 0) - 1) >> 1
      }
    }
    return groups < 2 ? undefined : { feature, border, gain: Math.max(bestGain, 0) }
  }

  /** Groups the samples of a node by bin; returns how many groups there are. */
  #count(column: Uint8Array, samples: Int32Array, from: number, to: number): number {
    const [all, ones] = [this.#allOfBin.fill(0), this.#onesOfBin.fill(0)]
    for (let place = from; place < to; place += 1) {
      const sample = samples[place] ?? 0
      const bin = column[sample] ?? 0
      all[bin] = (all[bin] ?? 0) + 1
      ones[bin] = (ones[bin] ?? 0) + (this.#classes[sample] ?? 0)
    }
    let groups = 0
    for (let bin = 0; bin < BINS; bin += 1) {
      if (all[bin] === 0) continue
      this.#values[groups] = bin
      this.#counts[groups] = all[bin] ?? 0
      this.#ones[groups] = ones[bin] ?? 0
      groups += 1
    }
    return groups
  }

  /** The same for a few samples. */
  #sort(column: Uint8Array, samples: Int32Array, from: number, to: number): number {
    const keys = this.#keys
    for (let place = from; place < to; place += 1) {
      const sample = samples[place] ?? 0
      const key = (column[sample] ?? 0) * 2 + (this.#classes[sample] ?? 0)
      let before = place - from - 1
      for (; before >= 0 && (keys[before] ?? 0) > key; before -= 1)
        keys[before + 1] = keys[before] ?? 0
      keys[before + 1] = key
    }
    let groups = 0
    for (let place = 0; place < to - from; place += 1) {
      const key = keys[place] ?? 0
      if (groups === 0 || this.#values[groups - 1] !== key >> 1) {
        this.#values[groups] = key >> 1
        this.#counts[groups] = 0
        this.#ones[groups] = 0
        groups += 1
      }
      this.#counts[groups - 1] = (this.#counts[groups - 1] ?? 0) + 1
      this.#ones[groups - 1] = (this.#ones[groups - 1] ?? 0) + (key & 1)
    }
    return groups
  }

  /** Brings the samples of the lower side to the front; returns where the upper side begins. */
  #divide(samples: Int32Array, from: number, to: number, { feature, border }: Split): number {
    const column = this.#columns[feature] ?? NO_COLUMN
    let middle = from
    for (let place = from; place < to; place += 1) {
      const sample = samples[place] ?? 0
      if ((column[sample] ?? 0) > border) continue
      samples[place] = samples[middle] ?? 0
      samples[middle] = sample
      middle += 1
    }
    return middle
  }
}

/** As many samples are sorted sooner than counted into bins. */
const SMALL = 40

const NO_COLUMN = new Uint8Array(0)
