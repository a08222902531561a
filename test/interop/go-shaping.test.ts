// What leaves under a padding scheme: the Go client's Writes against ours, for the same Delivers.

import { describe, expect, it } from 'vitest'
import { DEFAULT_SCHEME_TEXT } from '../../src/shaping/scheme.ts'
import { goProgram } from './support/go-build.ts'

import {
  countsOf,
  ksDistance,
  ksThreshold,
  shapeWithGo,
  shapeWithOurs,
  sizesOf,
} from './support/go-shaping.ts'
import type { Script } from './support/go-shaping.ts'

/** Schemes that leave nothing to chance. */
const EXACT: readonly (Script & { name: string })[] = [
  {
    name: 'one size a Write',
    scheme:
      'stop=7\n0=64-64\n1=300-300\n2=700-700,c,9-9\n3=50-50,1000-1000\n4=200-200,200-200\n5=9-9',
    targetName: 11,
    steps: [517, 1, 900, 1_400, 'heartbeat', 100],
  },
  {
    name: 'the seven bytes below a size, where no waste frame fits, and the eighth',
    // Deliver 1 has 110 bytes, the others 100.
    scheme: [
      ...['stop=12', '0=1-1', '1=110-110', '2=100-100', '3=101-101', '4=106-106', '5=107-107'],
      ...['6=108-108', '7=109-109', '8=99-99', '9=93-93,7-7', '10=92-92,9-9', '11=100-100,1-1,7-7'],
    ].join('\n'),
    targetName: 11,
    steps: [...Array.from({ length: 10 }, () => 93), 93],
  },
  {
    name: 'many check marks: first, doubled, last, alone',
    scheme: [
      ...['stop=8', '0=9-9', '1=c,c,50-50,c,50-50,c,50-50,c,50-50', '2=c', '3=c,c,c,600-600'],
      ...[
        '4=600-600,c',
        '5=20-20,c,20-20,c,c,20-20,c,9-9',
        '6=600-600,c,9-9,c,9-9',
        '7=30-30,9-9,c',
      ],
    ].join('\n'),
    targetName: 20,
    steps: [100, 100, 100, 30, 100, 'heartbeat', 'close'],
  },
  {
    name: 'gaps: indexes that are missing, empty, or at stop and above',
    scheme: 'stop=6\n2=400-400\n4=\n5=8-8,8-8,8-8\n6=900-900\n7=900-900\n99=1-1',
    targetName: 60,
    steps: [30, 30, 30, 30, 30, 30, 'close'],
  },
  {
    name: 'large sizes, up to the most that one waste frame holds',
    scheme:
      'stop=6\n0=9000-9000\n1=16384-16384\n2=20000-20000,65535-65535\n3=40000-40000,c,40000-40000\n4=65535-65535\n5=65535-65535,9-9',
    targetName: 11,
    steps: [1, 65_535, 10, 65_000, 'heartbeat'],
  },
  {
    name: 'text that only a lenient reader takes',
    scheme: [
      ...[
        'comment',
        '',
        'stop=1',
        'stop=+08',
        '1=120-120,x,-5-9,0-0,0-9,1-2-3,c ,150-150',
        'name=x',
      ],
      ...['2=1-1', '2=+0400-+0400', '03=900-900', '4=500-500\r', '5= 7-7, 600-600,c', '6==9-9', ''],
    ].join('\n'),
    targetName: 11,
    steps: [10, 10, 10, 10, 10, 10, 10],
  },
]

/** Schemes with ranges. */
const RANDOM: readonly (Script & { name: string })[] = [
  {
    name: 'the built-in scheme',
    scheme: DEFAULT_SCHEME_TEXT,
    targetName: 11,
    steps: [517, 80, 2_000, 1, 'heartbeat', 700, 1_200, 'close'],
  },
  {
    name: 'narrow ranges',
    scheme:
      'stop=7\n0=100-103\n1=120-122,c,10-12\n2=100-103,8-10\n3=300-302,c\n4=50-53,50-53,c,50-53\n5=7-9\n6=10-11,1000-1001',
    targetName: 11,
    steps: [95, 10, 100, 'heartbeat', 1],
  },
  {
    name: 'ranges that run past check marks and past the seven bytes',
    scheme:
      'stop=6\n0=1-1000\n1=90-130,c,8-16,c,8-16\n2=10-60,c,10-60,c,10-60,c,10-60\n3=95-115,c,20-40\n4=40-45,c,c,60-75,9-30\n5=200-100,300-290',
    targetName: 11,
    steps: [93, 93, 93, 93, 'close'],
  },
  {
    name: 'wide ranges of large sizes with gaps',
    scheme: 'stop=8\n0=2-9000\n2=1000-60000,c,500-600\n4=30000-65535,c,1-65535\n7=16000-17000,8-9',
    targetName: 60,
    steps: [20_000, 20_000, 20_000, 'heartbeat', 20_000, 20_000, 'close'],
  },
]

const RUNS = 1_500
const SEED = 7

/**
 * How often one comparison of samples from one distribution may fail. There are fewer than a hundred of
 * them, so a run of this file fails by chance once in ten thousand times.
 */
const ALPHA = 1e-6

/**
 * A value that comes this often in one sample must come in the other: that finds a range whose last value
 * is one too many or one too few, which moves a distribution by less than chance does.
 */
const OFTEN = 30

describe.skipIf(goProgram.isMissing)(
  `Interop: shaping as the Go client does it${goProgram.note}`,
  { timeout: 30_000 },
  () => {
    it.for(EXACT)('Equivalence, every Write: $name', async (script) => {
      const { runs } = await shapeWithGo(script, 2)
      expect(runs[1]).toEqual(runs[0])
      expect(shapeWithOurs(script, 2, SEED)).toEqual(runs)
    })

    it.for(RANDOM)('Equivalence, distributions: $name', async (script) => {
      const theirs = await shapeWithGo(script, RUNS)
      const ours = shapeWithOurs(script, RUNS, SEED)
      const failures: string[] = []
      const compare = (what: string, first: readonly number[], second: readonly number[]) => {
        const missing = [...missingFrom(first, second), ...missingFrom(second, first)]
        if (missing.length > 0) failures.push(`${what}: only one has ${String(missing)}`)
        const distance = ksDistance(first, second)
        const most = ksThreshold(first.length, second.length, ALPHA)
        if (distance > most) failures.push(`${what}: distance ${distance}, at most ${most}`)
      }
      for (const deliver of theirs.delivers.keys()) {
        const counts = [countsOf(theirs.runs, deliver), countsOf(ours, deliver)] as const
        compare(`Deliver ${deliver}, number of Writes`, ...counts)
        for (let write = 0; write < Math.max(...counts.flat()); write += 1) {
          const sizes = [theirs.runs, ours].map((runs) => sizesOf(runs, deliver, write))
          compare(`Deliver ${deliver}, Write ${write}`, sizes[0]!, sizes[1]!)
        }
      }
      expect(failures).toEqual([])
    })
  },
)

/** What `first` has often and `second` not at all. */
function missingFrom(first: readonly number[], second: readonly number[]): number[] {
  const counts = new Map<number, number>()
  for (const value of first) counts.set(value, (counts.get(value) ?? 0) + 1)
  for (const value of second) counts.delete(value)
  return [...counts].filter(([, count]) => count >= OFTEN).map(([value]) => value)
}
