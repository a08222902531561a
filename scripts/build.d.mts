// What tests use of build.mjs.

/** Whether dist/ holds what the sources say, with the types if they are wanted. */
export function isBuilt(options: { readonly types: boolean }): boolean

/** Builds dist/ anew. */
export function buildAll(options: { readonly types: boolean }): Promise<void>
