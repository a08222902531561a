// `anytls/shaping` where there is nothing of Node: bundled, and run with the web's text codecs alone.
import { join } from 'node:path'
import { createContext, runInContext } from 'node:vm'
import { build } from 'esbuild'
import { beforeAll, describe, expect, it } from 'vitest'
import * as shaping from '../../src/shaping.ts'

const ENTRY = join(import.meta.dirname, '../../src/shaping.ts')

describe('a plain JavaScript runtime', () => {
  let bundle = ''
  let inputs: string[] = []

  beforeAll(async () => {
    const { outputFiles, metafile } = await build({
      entryPoints: [ENTRY],
      bundle: true,
      format: 'iife',
      globalName: 'shaping',
      // Nothing of Node is known there: an import of one of its modules would not resolve.
      platform: 'neutral',
      conditions: ['import', 'default'],
      mainFields: ['module', 'main'],
      metafile: true,
      write: false,
      logLevel: 'silent',
    })
    bundle = outputFiles[0]?.text ?? ''
    inputs = Object.keys(metafile.inputs)
  })

  it('anytls/shaping imports no module of Node', () => {
    expect(bundle).not.toMatch(/\brequire\(|from ?["']node:/)
    expect(inputs.some((path) => path.includes('src/shaping/shaper.ts'))).toBe(true)
    const folders = inputs.map((path) => /src\/(\w+)(?=\/)/.exec(path)?.[1]).filter(Boolean)
    expect(new Set(folders)).toEqual(new Set(['shaping', 'codec', 'engine', 'wires', 'harness']))
  })

  it('anytls/shaping parses, checks, shapes and simulates without a global of Node', () => {
    const run = (code: string): unknown => {
      const context = createContext({ TextEncoder, TextDecoder })
      return runInContext(`${bundle};JSON.stringify((() => { ${code} })())`, context)
    }
    // What is there is the language and nothing else.
    expect(run('return [typeof process, typeof Buffer, typeof setTimeout, typeof crypto]')).toBe(
      JSON.stringify(Array(4).fill('undefined')),
    )
    const text = JSON.stringify('stop=3\n0=30-60\n1=200-400\n2=500-1000,c,500-1000')
    const scheme = shaping.parseScheme(JSON.parse(text) as string)
    expect(run(`return shaping.parseScheme(${text}).digest`)).toBe(JSON.stringify(scheme.digest))
    expect(run(`return shaping.checkScheme("stop=3\\n1=9-3").problems`)).toBe(
      JSON.stringify(shaping.checkScheme('stop=3\n1=9-3').problems),
    )
    expect(
      run(`
        const { simulate, expectShape, WIRES, WORKLOADS } = shaping
        const scheme = shaping.parseScheme(${text})
        const made = simulate({ scheme, wire: WIRES.v1, workload: WORKLOADS.page })
        expectShape(made).toFollow(scheme)
        try { expectShape(made).toFollow('stop=2\\n1=5000-6000') } catch (error) { return error.name }`),
    ).toBe('"AssertionError"')
    const shaped = `
      const { padding } = shaping.WIRES.v1
      const shaper = new shaping.Shaper(shaping.parseScheme(${text}), (min) => min, padding)
      return [5, 50, 700].map((n) => shaper.deliver(new Uint8Array(n)).map((write) => write.length))`
    expect(run(shaped)).toBe('[[5],[200],[500,500]]')
    for (const wire of ['v1', 'legacy'] as const) {
      const simulated = `
        const { WIRES, WORKLOADS } = shaping
        const scheme = shaping.parseScheme(${text})
        return shaping.simulate({ scheme, wire: WIRES.${wire}, workload: WORKLOADS.shell })`
      const workload = shaping.WORKLOADS.shell
      const expected = shaping.simulate({ scheme, wire: shaping.WIRES[wire], workload })
      expect(run(simulated)).toBe(JSON.stringify(expected))
    }
  })
})
