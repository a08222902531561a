// The files of the page, and those of others that it loads. The build puts their text in the place of this module.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

const OWN = join(import.meta.dirname, 'page')

/** Where a package keeps its files. */
function folderOf(name: string): string {
  return dirname(createRequire(import.meta.url).resolve(name))
}

/** The text of each file, by the name under which it is served. */
export function readPageFiles(): Readonly<Record<string, string>> {
  const places = {
    'index.html': join(OWN, 'index.html'),
    'page.css': join(OWN, 'page.css'),
    'page.js': join(OWN, 'page.js'),
    'uplot.js': join(folderOf('uplot'), 'uPlot.esm.js'),
    'uplot.css': join(folderOf('uplot'), 'uPlot.min.css'),
    'uqr.js': join(folderOf('uqr'), 'index.mjs'),
  }
  const read = Object.entries(places).map(([name, place]) => [name, readFileSync(place, 'utf8')])
  return Object.fromEntries(read) as Record<string, string>
}
