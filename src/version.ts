// The version of this package, in one place; test/architecture.test.ts holds it to package.json.
// Must never read a file: the library has to work bundled.

export const VERSION = '0.1.0'

/** How both ends name themselves in NEGO. */
export const IMPLEMENTATION = `anytls-node/${VERSION}`
