// The lines of a scheme with their places, when problems are collected and not thrown.
import { expect, it } from 'vitest'
import { readRawLines, readSchemeLines } from '../../src/shaping/scheme-lines.ts'

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

it('draft, Appendix A: every problem is reported, and what stands of a line is given', () => {
  const problems: string[] = []
  const text = 'a=1\n\nb\nc=2,,3 ,4\r\na=3\n=4\nd=5\ne,f=\u00e9'
  const lines = readSchemeLines(text, (line, column, message) => {
    problems.push(`${line}:${column} ${message}`)
  })
  expect(lines.map(({ key, values }) => [key, ...values.map((value) => value.text)])).toEqual([
    ['a', '1'],
    ['c', '2', '4'],
    ['d', '5'],
  ])
  expect(lines[1]?.values[1]).toEqual({ text: '4', column: 9 })
  expect(problems.map((problem) => problem.split(' ')[0])).toEqual([
    '2:1',
    '3:2',
    '4:10',
    '4:5',
    '4:7',
    '5:1',
    '6:1',
    '8:2',
    '8:5',
  ])
  expect(problems[5]).toContain('given before, on line 1')
})

it('D30: raw text is taken apart as the original does it', () => {
  const lines = readRawLines('a=1\n\n#\n=2\nb=\na=3,,4=5\r')
  expect(lines).toEqual([
    { line: 6, key: 'a', values: [at('3', 3), at('', 5), at('4=5\r', 6)] },
    { line: 4, key: '', values: [at('2', 2)] },
    { line: 5, key: 'b', values: [at('', 3)] },
  ])
})

function at(text: string, column: number) {
  return { text, column }
}

function unexpected(line: number, column: number, message: string): never {
  throw new Error(`${line}:${column} ${message}`)
}
