// Counts for as long as it is told to on standard input, on a disk that may be full. Answers each line with the sum so far.
import { createInterface } from 'node:readline'
import { UsageJournal } from '../../src/serve/usage/journal.ts'

const journal = new UsageJournal(process.argv[2] ?? '', () => {})
let failed = 0
for await (const line of createInterface(process.stdin)) {
  for (let batch = 0; batch < Number(line); batch += 1) {
    journal.add('a', 1, 2)
    await journal.flush().catch(() => (failed += 1))
  }
  process.stdout.write(`${JSON.stringify({ ...journal.of('a'), failed })}\n`)
}
