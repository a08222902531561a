// The lines of a scheme with their places, when problems are collected and not thrown.
import { expect, it } from 'vitest'
import { readSchemeLines } from '../../src/shaping/scheme-lines.ts'

it('draft, Appendix A: tells key and values with their columns', () => {
  expect(readSchemeLines('stop=8\nkey=a,bcd,e=f', unexpected)).toEqual([
    { line: 1, key: 'stop', values: [{ text: '8', column: 6 }] },
    {
      line: 2,
      key: 'key',
      values: [
        { text: 'a', column: 5 },
        { text: 'bcd', column: 7 },
        { text: 'e=f', column: 11 },
      ],
    },
  ])
})

it('draft, Appendix A: every line with a problem is reported and left out', () => {
  const problems: string[] = []
  const lines = readSchemeLines('a=1\n\nb\nc=2\r\na=3\n=4\nd=5', (line, column, message) => {
    problems.push(`${line}:${column} ${message}`)
  })
  expect(lines.map(({ key }) => key)).toEqual(['a', 'd'])
  expect(problems.map((problem) => problem.split(' ')[0])).toEqual([
    '2:1',
    '3:2',
    '4:4',
    '5:1',
    '6:1',
  ])
  expect(problems[3]).toContain('given before, on line 1')
})

function unexpected(line: number, column: number, message: string): never {
  throw new Error(`${line}:${column} ${message}`)
}
