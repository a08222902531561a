// Writing results to standard output, whole: a program that exits at once would cut off what a pipe still takes.
// Must never fail because the reader has gone, as `head` does.

import { fileError, systemCode } from '../serve/files.ts'

/**
 * Resolves when everything has been taken, or nobody reads any more.
 *
 * @throws AnyTlsError `ERR_FILE` when it cannot be written, as when a disk is full
 */
export function writeStdout(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    // The same error comes to the callback; without a listener it would end the program.
    process.stdout.on('error', () => {})
    process.stdout.write(text, (cause) => {
      if (!cause || systemCode(cause) === 'EPIPE') resolve()
      else reject(fileError('standard output cannot be written', cause))
    })
  })
}
