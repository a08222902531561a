// Prints what was left out and why, what passed at the second attempt alone, and one machine-readable closing line
// ("N passed, N failed, N skipped") after the normal report, so that a CI can tell a run that tested nothing from a run
// that passed.
import type { Reporter, TestModule } from 'vitest/node'

/** What a title says of why its tests are left out. */
const REASON = /\((?:skipped: (.*)|(only .*))\)/

export default class ClosingLineReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    let [passed, failed, skipped] = [0, errors.length, 0]
    const leftOut = new Map<string, number>()
    const again: string[] = []
    for (const module of modules) {
      if (module.state() === 'failed' && module.children.size === 0) failed += 1
      for (const test of module.children.allTests()) {
        const { state, errors: failures } = test.result()
        if (state === 'passed') {
          passed += 1
          if (test.diagnostic()?.flaky) {
            again.push(`at the second attempt: ${test.fullName}: ${failures?.[0]?.message ?? ''}\n`)
          }
        } else if (state === 'failed') failed += 1
        else {
          skipped += 1
          const [, lack, condition] = REASON.exec(test.fullName) ?? []
          const reason = lack ?? condition ?? 'its title does not say why'
          leftOut.set(reason, (leftOut.get(reason) ?? 0) + 1)
        }
      }
    }
    const lines = [...leftOut].map(([reason, tests]) => `left out: ${tests} (${reason})\n`)
    process.stdout.write(
      `\n${[...lines, ...again].join('')}${passed} passed, ${failed} failed, ${skipped} skipped\n`,
    )
  }
}
