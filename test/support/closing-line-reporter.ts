// Prints what was left out and why, and one machine-readable closing line ("N passed, N failed, N skipped") after the
// normal report, so that a CI can tell a run that tested nothing from a run that passed. Leaves the names of files in which
// a test failed to it, too.
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Reporter, TestModule } from 'vitest/node'

/** What a title says of why its tests are left out. */
const REASON = /\((?:skipped: (.*)|(only .*))\)/

/** A line for each file. Of what failed in no file, nothing is there. */
const FAILED = 'node_modules/.cache/failed-tests'

export default class ClosingLineReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    const failedFiles = new Set<string>()
    let [passed, failed, skipped] = [0, errors.length, 0]
    const leftOut = new Map<string, number>()
    for (const module of modules) {
      if (module.state() === 'failed') failedFiles.add(module.relativeModuleId)
      if (module.state() === 'failed' && module.children.size === 0) failed += 1
      for (const test of module.children.allTests()) {
        const { state } = test.result()
        if (state === 'passed') passed += 1
        else if (state === 'failed') failed += 1
        else {
          skipped += 1
          const [, lack, condition] = REASON.exec(test.fullName) ?? []
          const reason = lack ?? condition ?? 'its title does not say why'
          leftOut.set(reason, (leftOut.get(reason) ?? 0) + 1)
        }
      }
    }
    mkdirSync(dirname(FAILED), { recursive: true })
    writeFileSync(FAILED, [...failedFiles].map((file) => `${file}\n`).join(''))
    const lines = [...leftOut].map(([reason, tests]) => `left out: ${tests} (${reason})\n`)
    process.stdout.write(
      `\n${lines.join('')}${passed} passed, ${failed} failed, ${skipped} skipped\n`,
    )
  }
}
