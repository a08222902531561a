// `anytls compare` on the command line: its options and its help.
// Must never do anything itself: the command is loaded when it is called for.

import type { Command } from 'commander'
import { skipOption, wholeNumber } from './scheme-options.ts'

export interface CompareCommandOptions {
  readonly with: readonly string[]
  readonly seed: number
  readonly skipUp: number
  readonly skipDown: number
  readonly json?: boolean
}

export function addCompare(
  program: Command,
  run: (files: readonly string[], options: CompareCommandOptions) => Promise<void>,
): void {
  program
    .command('compare')
    .description('Tell how well two sets of connections can be told apart by their records.')
    .argument('<a...>', 'one set: from anytls capture and anytls scheme simulate --json')
    .requiredOption('--with <b...>', 'the other set, files of the same kinds')
    .option(
      '--seed <number>',
      'the same seed gives the same result',
      wholeNumber(0, Number.MAX_SAFE_INTEGER),
      1,
    )
    .addOption(skipOption('up'))
    .addOption(skipOption('down'))
    .option('--json', 'print JSON')
    .helpOption('-h, --help', 'show this help')
    .addHelpText('after', COMPARE_HELP)
    .action((files: readonly string[], flags: CompareCommandOptions) => run(files, flags))
}

const COMPARE_HELP = `
A random forest (100 trees) learns from four fifths of the connections and scores the others, five times.
  AUC       how often a connection of B gets the higher score than one of A: 0.5 by chance, 1 always
  interval  95 %, by drawing connections again; half as wide again, since the fifths teach each other
  p         how often the AUC would be as high by chance, by dealing out the scores anew
Record by record: Kolmogorov-Smirnov and Wasserstein-1, p corrected for all of them by the method of Holm.
It takes at least 50 connections a side; a hundred or more say something. A simulation has no network: its
times differ from those of any capture.

Exit code: 0 whatever comes out, 2 when there are too few connections.`
