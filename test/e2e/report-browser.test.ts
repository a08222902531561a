// The whole way of somebody who studies a scheme: write it, check it, simulate it, capture a session made with
// it, and look at target against reality in a real browser.

import { readFileSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { parseCapture } from '../../src/harness/capture/capture-parser.ts'
import { sourceFromCapture } from '../../src/harness/report/from-capture.ts'
import { readExactly } from '../proxy/support.ts'
import { chromiumProgram, dumpPage, openPage } from '../support/chromium.ts'
import type { OpenPage, View } from '../support/chromium.ts'
import { folder, run, serve, serveHttps, startClient, startServer, whenDone } from './support.ts'

/** Of exact sizes and ranges, so that the page has both lines and boxes to show. */
const SCHEME =
  'stop=6\n0=40-40\n1=300-400\n2=100-100,c,500-600,c,600-700\n3=500-800\n4=200-300\n5=60-60\n'

const WIDE: View = { scheme: 'light', width: 1280, height: 900 }
const DARK: View = { ...WIDE, scheme: 'dark' }
const NARROW: View = { scheme: 'dark', width: 360, height: 740 }

const scheme = join(folder, 'scheme.txt')
const simulation = join(folder, '<b>simulation & more.json')
const capture = join(folder, 'capture.jsonl')
const page = join(folder, 'report.html')

describe.skipIf(chromiumProgram.isMissing)(
  `a report in Chromium${chromiumProgram.note}`,
  { timeout: 90_000 },
  () => {
    let open: OpenPage

    beforeAll(async () => {
      writeFileSync(scheme, SCHEME)
      await anytls('scheme', 'check', scheme)
      writeFileSync(simulation, await anytls('scheme', 'simulate', '--json', '--runs', '8', scheme))
      await captureSessions()
      await anytls('report', simulation, capture, '--scheme', scheme, '--out', page)
      open = await openPage(page, WIDE)
      whenDone(() => open.close())
    }, 90_000)

    it('main job: target against reality in one page that asks the network for nothing and logs nothing', async () => {
      const text = String(await open.evaluate('document.body.innerText'))
      expect(text).toContain('<b>simulation & more.json')
      expect(text).toContain('capture.jsonl')
      expect(text).toMatch(/Kolmogorov-Smirnov/)
      expect(open.requests).toHaveLength(1)
      expect(open.messages).toEqual([])
    })

    it('what was captured of a real session is in the band of its scheme', async () => {
      const rows = (await open.evaluate(`[...document.querySelectorAll('section')]
        .find((section) => section.querySelector('h2').textContent === 'Overhead')
        .querySelector('tbody').innerText.split('\\n')`)) as string[]
      const inBand = rows
        .map((row) => /(\d+) of (\d+), /.exec(row))
        .filter((found) => found !== null)
      expect(inBand).toHaveLength(2)
      for (const [, inside, counted] of inBand) {
        expect(Number(counted)).toBeGreaterThan(5)
        expect(inside).toBe(counted)
      }
    })

    it.for([
      ['light', WIDE],
      ['dark', DARK],
      ['narrow', NARROW],
    ] as const)('charts are there, no label is cut or on another, in %s', async ([, view]) => {
      await open.look(view)
      const charts = (await open.evaluate(MEASURE_CHARTS)) as {
        label: string
        width: number
        height: number
        marks: number
        troubles: string[]
      }[]
      expect(charts).toHaveLength(12)
      for (const { label, width, height, marks, troubles } of charts) {
        expect(width, label).toBeGreaterThan(600)
        expect(height, label).toBeGreaterThan(200)
        expect(marks, label).toBeGreaterThan(label.includes('cumulative distribution') ? 2 : 4)
        expect(troubles, label).toEqual([])
      }
      expect(await open.evaluate(CUT_TABLES)).toEqual([])
      // What is wider than the window scrolls in a box of its own.
      expect(await open.evaluate('document.documentElement.scrollWidth')).toBe(view.width)
      const png = await open.screenshot()
      expect(png.readUInt32BE(16)).toBe(view.width)
      expect(png.length).toBeGreaterThan(30_000)
    })

    it('each shaped record has a panel: target, hits, and their rate', async () => {
      await open.look(WIDE)
      const panels = (await open.evaluate(
        MEASURE_CHARTS.replace('.chart > svg', '.panel > svg'),
      )) as {
        label: string
        width: number
        marks: number
        troubles: string[]
      }[]
      expect(panels.length).toBeGreaterThan(3)
      for (const { label, width, marks, troubles } of panels) {
        expect(width, label).toBeGreaterThan(200)
        expect(marks, label).toBeGreaterThan(2)
        expect(troubles, label).toEqual([])
      }
    })

    it.for([
      ['light', WIDE, 'rgb(255, 255, 255)'],
      ['dark', DARK, 'rgb(20, 23, 27)'],
    ] as const)('contrast: text 4.5 : 1, marks 3 : 1, in %s', async ([, view, background]) => {
      await open.look(view)
      expect(await open.evaluate('getComputedStyle(document.body).backgroundColor')).toBe(
        background,
      )
      await open.evaluate('document.querySelectorAll("details").forEach((d) => (d.open = true))')
      expect(await open.evaluate(WEAK_CONTRASTS)).toEqual([])
      await open.evaluate('document.querySelectorAll("details").forEach((d) => (d.open = false))')
    })

    it('the keyboard reaches the report at once, opens tables, and scrolls what is wide', async () => {
      await open.look(NARROW)
      const focused = () =>
        open.evaluate('document.activeElement.innerText || document.activeElement.id')
      await open.evaluate('document.activeElement.blur()')
      await open.press('Tab')
      expect(await focused()).toBe('Skip to the report')
      await open.press('Enter')
      expect(await open.evaluate('document.activeElement.id')).toBe('main')
      const reached: string[] = []
      for (let stops = 0; stops < 60 && !reached.includes('FIGURE SUMMARY'); stops += 1) {
        await open.press('Tab')
        reached.push(
          String(
            await open.evaluate(`(({ tagName, className, parentElement }) =>
              (parentElement.closest('figure') ? 'FIGURE ' : '') + (className || tagName))(document.activeElement)`),
          ),
        )
      }
      expect(reached).toContain('scroll')
      expect(reached).toContain('FIGURE scroll chart')
      expect(reached.at(-1)).toBe('FIGURE SUMMARY')
      await open.press('Enter')
      expect(await open.evaluate('document.activeElement.parentElement.open')).toBe(true)
    })

    it('a screen reader finds one main heading, sections in order, and every image named', async () => {
      const outline = (await open.evaluate(`[...document.querySelectorAll('h1, h2, h3')]
        .map(({ tagName }) => Number(tagName[1]))`)) as number[]
      expect(outline.filter((level) => level === 1)).toHaveLength(1)
      for (const [index, level] of outline.entries()) {
        expect(level - (outline[index - 1] ?? 0)).toBeLessThanOrEqual(1)
      }
      expect(await open.evaluate('document.documentElement.lang')).toBe('en')
      expect(
        await open.evaluate(`[...document.querySelectorAll('svg')].filter((svg) =>
          svg.getAttribute('role') !== 'img' || !svg.getAttribute('aria-label')).length`),
      ).toBe(0)
      expect(
        await open.evaluate(`[...document.querySelectorAll('table')].filter((table) =>
          !table.caption || !table.querySelector('th[scope=col]') || !table.querySelector('th[scope=row]')).length`),
      ).toBe(0)
    })

    it("a browser's own session can be captured, and compared", async () => {
      const site = await serveHttps(
        (_, response) => void response.end('<h1>A site</h1>'.repeat(500)),
      )
      const out = join(folder, 'browser.jsonl')
      const relay = run([
        'capture',
        '-l',
        '127.0.0.1:0',
        '--to',
        `localhost:${site.port}`,
        '--out',
        out,
      ])
      const [, port] = await relay.said(/listening on 127\.0\.0\.1:(\d+)/)
      expect(await dumpPage(`https://localhost:${port}/`)).toContain('<h1>A site</h1>')
      relay.child.kill('SIGTERM')
      await relay.ended
      const { runs } = sourceFromCapture('x', parseCapture(readFileSync(out, 'utf8')))
      const down = runs.flatMap((run) => run.down.sizes)
      // The page and the head of its answer, in one record or two.
      expect(down.reduce((sum, size) => sum + size, 0)).toBeGreaterThan(7_500)
      expect(runs.flatMap((run) => run.up.sizes).length).toBeGreaterThan(0)
      await anytls('report', out, capture, '--out', join(folder, 'browser.html'))
    })
  },
)

/** Runs a command to its end and returns what it printed. */
async function anytls(...args: string[]): Promise<string> {
  const program = run(args)
  const { code } = await program.ended
  expect(code, program.stderr()).toBe(0)
  return program.stdout()
}

/** Captures two connections of a client that was told the scheme on one before, at the same address. */
async function captureSessions(): Promise<void> {
  const server = await startServer(['--padding-scheme', scheme])
  const echo = await serve(createServer((socket) => socket.pipe(socket)))
  let listen = '127.0.0.1:0'
  for (const [out, connections] of [
    [join(folder, 'first.jsonl'), 1],
    [capture, 2],
  ] as const) {
    const relay = run(['capture', '--listen', listen, '--to', server.address, '--out', out])
    const [, port = ''] = await relay.said(/listening on 127\.0\.0\.1:(\d+)/)
    listen = `127.0.0.1:${port}`
    const link = server.link.replace(`:${server.port}/`, `:${port}/`)
    for (let count = 0; count < connections; count += 1) {
      const client = await startClient(link)
      await talk(client.port, echo.port)
      client.program.child.kill('SIGTERM')
      await client.program.ended
    }
    relay.child.kill('SIGTERM')
    await relay.ended
  }
}

/** Uses one tunnel through the client: sends messages, each when the one before has come back. */
async function talk(proxy: number, target: number): Promise<void> {
  const socket = connect(proxy, '127.0.0.1').on('error', () => {})
  socket.write(Uint8Array.of(5, 1, 0))
  await readExactly(socket, 2)
  socket.write(Uint8Array.of(5, 1, 0, 1, 127, 0, 0, 1, target >> 8, target & 0xff))
  await readExactly(socket, 10)
  for (const size of [80, 300, 150, 40, 2_000, 60]) {
    socket.write(Buffer.alloc(size, 'x'))
    await readExactly(socket, size)
  }
  socket.end()
  await new Promise((resolve) => socket.once('close', resolve).resume())
}

/** Each chart: how large it is, how much is in it, and which of its labels are cut or on each other. */
const MEASURE_CHARTS = `[...document.querySelectorAll('.chart > svg')].map((svg) => {
  const area = svg.getBoundingClientRect()
  const texts = [...svg.querySelectorAll('text')].filter((text) => text.textContent.trim() !== '')
  const boxes = texts.map((text) => [text.textContent, text.getBoundingClientRect()])
  const apart = (a, b) =>
    a.right <= b.left + 1 || b.right <= a.left + 1 || a.bottom <= b.top + 2 || b.bottom <= a.top + 2
  const cut = boxes
    .filter(([, box]) => box.left < area.left - 1 || box.right > area.right + 1 ||
      box.top < area.top - 1 || box.bottom > area.bottom + 1)
    .map(([text]) => 'cut: ' + text)
  const overlapping = boxes.flatMap(([text, box], index) =>
    boxes.slice(index + 1).filter(([, other]) => !apart(box, other)).map(([other]) => text + ' on ' + other))
  return {
    label: svg.getAttribute('aria-label'),
    width: area.width,
    height: area.height,
    marks: svg.querySelectorAll('[aria-label=dot] > g *, [aria-label=dot] path, [aria-label=dot] circle, [aria-label=rect] rect').length,
    troubles: [...cut, ...overlapping],
  }
})`

/** Tables that are wider than what shows of them, so that a part of them is cut off. */
const CUT_TABLES = `[...document.querySelectorAll('.scroll:not(.chart)')]
  .filter((box) => box.querySelector('table').getBoundingClientRect().right > innerWidth)
  .map((box) => box.getAttribute('aria-label'))`

/** Texts, and marks in charts, that stand out too little from what is behind them (WCAG 2, 1.4.3 and 1.4.11). */
const WEAK_CONTRASTS = `(() => {
  const channels = (color) => color.match(/[\\d.]+/g).map(Number)
  const luminance = (color) => {
    const [r, g, b] = channels(color).slice(0, 3).map((value) => value / 255)
      .map((value) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
  }
  const contrast = (a, b) => {
    const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y)
    return (high + 0.05) / (low + 0.05)
  }
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const color = getComputedStyle(e).backgroundColor
      if (channels(color)[3] !== 0) return color
    }
    return 'rgb(255, 255, 255)'
  }
  const weak = []
  for (const element of document.body.querySelectorAll('*')) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim() !== '')
    const style = getComputedStyle(element)
    const inSvg = element.closest('svg') !== null
    if (own && !/^(STYLE|TITLE)$/i.test(element.tagName)) {
      const ratio = contrast(inSvg ? style.fill : style.color, behind(element))
      if (ratio < 4.5) weak.push(ratio.toFixed(2) + ' ' + element.textContent.trim().slice(0, 40))
    } else if (inSvg && element.matches('[aria-label=dot] *, [aria-label=line] *, [aria-label=rect] g[fill^=var] rect')) {
      for (const color of [style.fill, style.stroke]) {
        if (!color.startsWith('rgb')) continue
        if (contrast(color, behind(element)) < 3) weak.push(element.outerHTML.slice(0, 80))
      }
    }
  }
  return weak
})()`
