// A browser that loads pages, each in a context of its own: nothing is kept from one load to the next.
import { launchBrowser } from '../../test/support/chromium.ts'
import type { Browser } from '../../test/support/chromium.ts'
import { FINISHED } from './sites.ts'

/**
 * What makes a load cheap and shows nowhere on the wire: one process renders a page, where a spare one would be kept
 * beside it and another would take over when the page comes to the empty one; and nothing is extended.
 */
const ONE_RENDERER = [
  '--disable-extensions',
  '--disable-site-isolation-trials',
  '--disable-features=SpareRendererForSitePerProcess,IsolateOrigins,site-per-process',
]

/** Most that a load may take, in ms. */
const LOAD_TIMEOUT = 30_000

/** A promise of the end of a page, once it is there: resolved by `true`. */
const AT_THE_END = `new Promise((loaded) => {
  if (document.readyState === 'complete') loaded()
  else addEventListener('load', loaded)
}).then(() => ${FINISHED})`

/** A page that is open. */
interface OpenPage {
  /** How long its load took, in ms. */
  readonly took: number
  readonly close: () => Promise<void>
}

export class PageLoader {
  readonly #browser: Browser = launchBrowser(
    '--ignore-certificate-errors',
    '--disable-quic',
    ...ONE_RENDERER,
  )

  /**
   * Loads `url` as a browser does that was never there, and waits until the page says that it is done.
   *
   * @param proxy `socks5://HOST:PORT`, for the name of the site, too
   */
  async open(url: string, proxy?: string): Promise<OpenPage> {
    const browser = this.#browser
    const through = proxy && { proxyServer: proxy, proxyBypassList: '<-loopback>' }
    const context = (await browser.send('Target.createBrowserContext', {
      ...through,
    })) as { browserContextId: string }
    let target: { targetId: string } | undefined
    const close = async () => {
      // Without a window, the page outlives its context otherwise, and keeps its connection.
      if (target !== undefined) await browser.send('Target.closeTarget', target)
      await browser.send('Target.disposeBrowserContext', context)
    }
    try {
      // A window, with all that belongs to one, takes three times the processor time of the page in it.
      const page = { url: 'about:blank', hidden: true, ...context }
      target = (await browser.send('Target.createTarget', page)) as { targetId: string }
      const { sessionId } = (await browser.send('Target.attachToTarget', {
        ...target,
        flatten: true,
      })) as { sessionId: string }
      const began = performance.now()
      const { errorText } = (await browser.send('Page.navigate', { url }, sessionId)) as {
        errorText?: string
      }
      if (errorText !== undefined) throw new Error(`${url}: ${errorText}`)
      const expression = { expression: AT_THE_END, awaitPromise: true, returnByValue: true }
      const { result } = (await within(
        browser.send('Runtime.evaluate', expression, sessionId),
        url,
      )) as { result: { value?: unknown } }
      if (result.value !== true) throw new Error(`${url}: the page did not come to its end`)
      return { took: performance.now() - began, close }
    } catch (error) {
      await close()
      throw error
    }
  }

  /** Opens a page, and closes it once it has loaded. @returns how long that took, in ms */
  async load(url: string, proxy?: string): Promise<number> {
    const page = await this.open(url, proxy)
    await page.close()
    return page.took
  }

  close(): Promise<void> {
    return this.#browser.close()
  }
}

async function within<T>(promise: Promise<T>, url: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const limit = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(
      () => reject(new Error(`${url}: not loaded after ${LOAD_TIMEOUT} ms`)),
      LOAD_TIMEOUT,
    )
  })
  return Promise.race([promise, limit]).finally(() => clearTimeout(timer))
}
