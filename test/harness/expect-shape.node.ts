// What expect-shape.test.ts runs under node:test: one test that passes and one that fails.
import { test } from 'node:test'
import { expectShape, parseScheme, simulate, WIRES, WORKLOADS } from '../../src/shaping.ts'

const scheme = parseScheme('stop=3\n0=30-60\n1=200-400\n2=500-1000')
const simulation = simulate({ scheme, wire: WIRES.v1, workload: WORKLOADS.page, runs: 3 })

void test('follows', () => {
  expectShape(simulation).toFollow(scheme)
})

void test('does not follow', () => {
  expectShape(simulation).toFollow('stop=3\n0=30-60\n1=401-402\n2=500-1000')
})
