// Logs more than any pipe takes, says on standard output that it has, and goes on for a while.
import { createLog } from '../../src/cli/logger.ts'

const log = createLog({ level: 'info', format: 'json' })
for (let index = 0; index < 20_000; index += 1) {
  log.logger.info({ index, filler: 'x'.repeat(100) }, 'a line')
}
process.stdout.write('done\n')
setInterval(() => log.announce('still here'), 200)
setTimeout(() => process.exit(0), 15_000)
