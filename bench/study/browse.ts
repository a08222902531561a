// A browser that loads pages, each in a context of its own: nothing is kept from one load to the next.
import type { Browser } from '../../test/support/chromium.ts'
import { launchBrowser } from '../../test/support/chromium.ts'
import { FINISHED } from './sites.ts'

/** Most that a load may take, in ms. */
const LOAD_TIMEOUT = 30_000

export class PageLoader {
  readonly #browser: Browser = launchBrowser('--ignore-certificate-errors', '--disable-quic')

  /**
   * Loads `url` as a browser does that was never there, and waits until the page says that it is done.
   *
   * @param proxy `socks5://HOST:PORT`, for the name of the site, too
   * @returns how long it took, in ms
   */
  async load(url: string, proxy?: string): Promise<number> {
    const browser = this.#browser
    const through = proxy && { proxyServer: proxy, proxyBypassList: '<-loopback>' }
    const context = (await browser.send('Target.createBrowserContext', {
      ...through,
    })) as { browserContextId: string }
    try {
      const { targetId } = (await browser.send('Target.createTarget', {
        url: 'about:blank',
        ...context,
      })) as { targetId: string }
      const { sessionId } = (await browser.send('Target.attachToTarget', {
        targetId,
        flatten: true,
      })) as { sessionId: string }
      await browser.send('Page.enable', {}, sessionId)
      const loaded = new Promise<void>((resolve) =>
        browser.on('Page.loadEventFired', () => resolve()),
      )
      const began = performance.now()
      const { errorText } = (await browser.send('Page.navigate', { url }, sessionId)) as {
        errorText?: string
      }
      if (errorText !== undefined) throw new Error(`${url}: ${errorText}`)
      await within(loaded, url)
      const expression = { expression: FINISHED, awaitPromise: true, returnByValue: true }
      const { result } = (await within(
        browser.send('Runtime.evaluate', expression, sessionId),
        url,
      )) as { result: { value?: unknown } }
      if (result.value !== true) throw new Error(`${url}: the page did not come to its end`)
      return performance.now() - began
    } finally {
      await browser.send('Target.disposeBrowserContext', context)
    }
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
