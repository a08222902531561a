// The program with some commands of a test's own; the others must not be called.
import { createProgram } from '../../src/cli/program.ts'

type Commands = Parameters<typeof createProgram>[0]

export function programWith(commands: Partial<Commands>): ReturnType<typeof createProgram> {
  const unexpected = () => Promise.reject(new Error('another command was called'))
  return createProgram({
    server: unexpected,
    client: unexpected,
    link: unexpected,
    scheme: unexpected,
    user: unexpected,
    capture: unexpected,
    convert: unexpected,
    report: unexpected,
    compare: unexpected,
    checkConfig: unexpected,
    ...commands,
  })
}
