// Tables as plain text.

/** Rows of cells, the columns lined up: the first `left` columns to the left, the others to the right. */
export function formatTable(rows: readonly (readonly string[])[], left = 1): string {
  const widths: number[] = []
  for (const row of rows) {
    for (const [column, cell] of row.entries()) {
      widths[column] = Math.max(widths[column] ?? 0, cell.length)
    }
  }
  const lines = rows.map((row) =>
    row
      .map((cell, column) => {
        const width = widths[column] ?? 0
        return column < left ? cell.padEnd(width) : cell.padStart(width)
      })
      .join('  ')
      .trimEnd(),
  )
  return lines.map((line) => `${line}\n`).join('')
}

/** A number with at most `digits` digits behind the point, and no zeros at its end. */
export function formatNumber(number: number, digits = 1): string {
  return String(Number(number.toFixed(digits)))
}
