// The chart of bytes by time.

import { axisX, axisY, dot, gridY, line, ruleY } from '@observablehq/plot'
import type { Markish } from '@observablehq/plot'
import type { Direction } from '../simulate/workload.ts'
import { DIRECTION_NAMES, drawChart, FRAME, letterColumns } from './chart-frame.ts'
import type { Chart, Series } from './chart-frame.ts'
import { formatCompact, formatCount, formatTime } from './format.ts'
import { table } from './html.ts'
import type { ReportSource } from './source.ts'
import { meanCumulativeBytes } from './statistics.ts'

/** Bytes carried by the time since the first record, the mean over connections; a line a source. */
export function cumulativeChart(all: readonly Series[], direction: Direction): Chart {
  const times = cumulativeTimes(all)
  const curves = all.map(({ source, style }) => ({
    style,
    values: meanCumulativeBytes(source.runs, direction, times),
  }))
  const label = `${DIRECTION_NAMES[direction]}: bytes carried by time, mean of a connection, a line a source.`
  const marks = curves.flatMap(({ style: { color, dash, symbol }, values }, offset): Markish[] => {
    const points = times.map((time, index) => ({ time, bytes: values[index] ?? 0 }))
    const marked = points.filter((_, index) => index % MARK_EVERY === offset * 2)
    return [
      line(points, {
        ...{ x: 'time', y: 'bytes', stroke: color, strokeWidth: 2, strokeDasharray: dash },
        curve: 'step-after',
      }),
      dot(marked, { x: 'time', y: 'bytes', stroke: color, symbol, r: 4.5, strokeWidth: 2 }),
    ]
  })
  return {
    image: drawChart(label, {
      ...FRAME,
      height: 320,
      x: { type: 'log', label: null },
      y: { label: null, zero: true, nice: true },
      marks: [
        gridY(),
        ruleY([0]),
        axisY({ label: '↑ bytes', tickFormat: formatCompact }),
        axisX({
          label: 'time since the first record (logarithmic) →',
          tickFormat: formatTime,
          ticks: 6,
        }),
        ...marks,
      ],
    }),
    data: table(
      `${DIRECTION_NAMES[direction]}: mean bytes by time`,
      [{ heading: 'Time', numeric: true }, ...letterColumns(all)],
      times
        .map((time, index) => [
          formatTime(time),
          ...curves.map(({ values }) => formatCount(values[index] ?? 0)),
        ])
        .filter((_, index) => index % TABLE_EVERY === 0 || index === times.length - 1),
    ),
  }
}

/** Points of a line; every how many it has its mark, and a row in the table. */
const GRID_TIMES = 121
const MARK_EVERY = 15
const TABLE_EVERY = 10

/** Times that grow evenly on a logarithmic scale, up to the end of the longest connection by a thousand. */
function cumulativeTimes(all: readonly Series[]): number[] {
  const longest = all.reduce((longest, { source }) => Math.max(longest, lengthOf(source)), 1)
  const least = longest / 1_000
  const ratio = (longest / least) ** (1 / (GRID_TIMES - 1))
  return Array.from({ length: GRID_TIMES }, (_, index) => least * ratio ** index)
}

function lengthOf({ runs }: ReportSource): number {
  return runs.reduce(
    (longest, { up, down }) => Math.max(longest, up.times.at(-1) ?? 0, down.times.at(-1) ?? 0),
    0,
  )
}
