// What tests use of build.mjs.

/** Builds dist/ where it is not there or older than the sources; with the types of the library or without. */
export function ensureBuilt(options: { readonly types: boolean }): Promise<void>
