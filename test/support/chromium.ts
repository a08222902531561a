// A headless Chromium that a test looks into: what a page logs, loads, computes and looks like.

import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { requireProgram } from './programs.ts'

export const chromiumProgram = requireProgram('chromium', 'chromium-browser', 'google-chrome')

const QUIET = [
  ...['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--hide-scrollbars'],
  ...['--disable-background-networking', '--disable-component-update', '--disable-sync'],
]

/** How a page is looked at. */
export interface View {
  readonly scheme: 'light' | 'dark'
  /** Of the window, in CSS pixels. */
  readonly width: number
  readonly height: number
}

export interface OpenPage {
  /** Whatever the page wrote to the console, and what the browser had to say about it. */
  readonly messages: readonly string[]
  /** The URL of everything that was asked for, the page itself first. */
  readonly requests: readonly string[]
  /** The value of an expression in the page, which JSON can carry. */
  evaluate(expression: string): Promise<unknown>
  look(view: View): Promise<void>
  press(key: 'Tab' | 'Enter' | 'Escape'): Promise<void>
  /** A PNG of the page from top to bottom, or of what `selector` finds first. */
  screenshot(selector?: string): Promise<Buffer>
  close(): Promise<void>
}

/** What the page at `url` is once it has loaded, as HTML, whatever its certificate. */
export async function dumpPage(url: string): Promise<string> {
  const profile = mkdtempSync(join(tmpdir(), 'chromium-'))
  const flags = [`--user-data-dir=${profile}`, '--ignore-certificate-errors', '--dump-dom', url]
  try {
    const limits = { timeout: 25_000, killSignal: 'SIGKILL' } as const
    return (await promisify(execFile)(chromiumProgram.path, [...QUIET, ...flags], limits)).stdout
  } finally {
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 })
  }
}

/** What the browser sends: the answer to a command, or an event. */
interface Message {
  readonly id?: number
  readonly method?: string
  readonly params?: unknown
  readonly result?: unknown
  readonly error?: { readonly message: string }
}

/** A browser, spoken to by the DevTools protocol. */
export interface Browser {
  /** Hears every event of that name, of whatever page; a later listener takes the place of an earlier one. */
  on(method: string, listener: (params: unknown) => void): void
  send(method: string, params?: object, sessionId?: string): Promise<unknown>
  /** With its profile. */
  close(): Promise<void>
}

export function launchBrowser(...flags: readonly string[]): Browser {
  const profile = mkdtempSync(join(tmpdir(), 'chromium-'))
  const child = spawn(
    chromiumProgram.path,
    [...QUIET, ...flags, `--user-data-dir=${profile}`, '--remote-debugging-pipe', 'about:blank'],
    { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] },
  )
  const exited = once(child, 'exit')
  const { on, send } = speak(child.stdio[3] as Writable, child.stdio[4] as Readable)
  return {
    on,
    send,
    async close() {
      await send('Browser.close').catch(() => {})
      const limit = setTimeout(() => child.kill('SIGKILL'), 5_000)
      await exited
      clearTimeout(limit)
      rmSync(profile, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}

/** Opens a file, or an http:// URL, in a browser of its own; resolves once it has loaded. */
export async function openPage(place: string, view: View): Promise<OpenPage> {
  const browser = launchBrowser()
  const targets = await browser.send('Target.getTargets')
  const { targetInfos } = targets as { targetInfos: { type: string; targetId: string }[] }
  const { targetId } = targetInfos.find(({ type }) => type === 'page')!
  const attached = await browser.send('Target.attachToTarget', { targetId, flatten: true })
  const { sessionId } = attached as { sessionId: string }
  const send = (method: string, params = {}) => browser.send(method, params, sessionId)

  const messages: string[] = []
  const requests: string[] = []
  const loaded = new Promise<void>((resolve) => {
    browser.on('Page.loadEventFired', () => resolve())
  })
  browser.on('Log.entryAdded', (params) => messages.push(JSON.stringify(params)))
  browser.on('Runtime.consoleAPICalled', (params) => messages.push(JSON.stringify(params)))
  browser.on('Runtime.exceptionThrown', (params) => messages.push(JSON.stringify(params)))
  browser.on('Network.requestWillBeSent', (params) => {
    requests.push((params as { request: { url: string } }).request.url)
  })
  for (const domain of ['Page', 'Runtime', 'Log', 'Network']) await send(`${domain}.enable`)

  const look = async ({ scheme, width, height }: View) => {
    const features = [{ name: 'prefers-color-scheme', value: scheme }]
    await send('Emulation.setEmulatedMedia', { features })
    const metrics = { width, height, deviceScaleFactor: 1, mobile: false }
    await send('Emulation.setDeviceMetricsOverride', metrics)
  }
  const evaluate = async (expression: string) => {
    const answer = await send('Runtime.evaluate', { expression, returnByValue: true })
    const { result, exceptionDetails } = answer as {
      result: { value?: unknown }
      exceptionDetails?: unknown
    }
    if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails))
    return result.value
  }
  await look(view)
  await send('Page.navigate', {
    url: place.startsWith('http://') ? place : pathToFileURL(place).href,
  })
  await loaded
  return {
    messages,
    requests,
    evaluate,
    look,
    async press(key) {
      const code = { Tab: 9, Enter: 13, Escape: 27 }[key]
      const event = { key, code: key, windowsVirtualKeyCode: code }
      const text = key === 'Enter' ? { text: '\r' } : {}
      await send('Input.dispatchKeyEvent', { type: 'keyDown', ...event, ...text })
      await send('Input.dispatchKeyEvent', { type: 'keyUp', ...event })
    },
    async screenshot(selector = 'html') {
      const rect = (await evaluate(
        `(({ x, y, width, height }) => ({ x: x + scrollX, y: y + scrollY, width, height }))(
          document.querySelector(${JSON.stringify(selector)}).getBoundingClientRect())`,
      )) as object
      const clip = { ...rect, scale: 1 }
      const shot = await send('Page.captureScreenshot', { clip, captureBeyondViewport: true })
      return Buffer.from((shot as { data: string }).data, 'base64')
    },
    close: () => browser.close(),
  }
}

/** The DevTools protocol on a pair of pipes: JSON texts, each ended by NUL. */
function speak(input: Writable, output: Readable): Pick<Browser, 'on' | 'send'> {
  const waiting = new Map<number, (message: Message) => void>()
  const listeners = new Map<string, (params: unknown) => void>()
  let rest = ''
  let lastId = 0
  input.on('error', () => {})
  output.setEncoding('utf8').on('data', (text: string) => {
    const texts = (rest + text).split('\0')
    rest = texts.pop() ?? ''
    for (const text of texts) {
      const message = JSON.parse(text) as Message
      if (message.id === undefined) listeners.get(message.method ?? '')?.(message.params)
      else waiting.get(message.id)?.(message)
    }
  })
  output.on('end', () => {
    for (const answer of waiting.values()) answer({ error: { message: 'the browser has gone' } })
  })
  return {
    on: (method: string, listener: (params: unknown) => void) => listeners.set(method, listener),
    send: (method: string, params = {}, sessionId?: string) => {
      const id = (lastId += 1)
      input.write(`${JSON.stringify({ id, method, params, sessionId })}\0`)
      return new Promise<unknown>((resolve, reject) => {
        waiting.set(id, ({ result, error }) => {
          waiting.delete(id)
          if (error === undefined) resolve(result)
          else reject(new Error(`${method}: ${error.message}`))
        })
      })
    },
  }
}
