// The page of the admin server, as answers.
import type { Answer } from './answer.ts'
import { readPageFiles } from './page-files.ts'

const TYPES: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
}

const HEADERS = {
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
}

let files: Readonly<Record<string, string>> | undefined

/** The file at a path; `undefined` where there is none. */
export function pageAt(path: string): Answer | undefined {
  files ??= readPageFiles()
  const name = path === '/' ? 'index.html' : path.slice(1)
  const body = Object.hasOwn(files, name) ? files[name] : undefined
  if (body === undefined) return undefined
  const type = TYPES[name.slice(name.lastIndexOf('.') + 1)] ?? 'application/octet-stream'
  return { status: 200, type, body, headers: HEADERS }
}
