import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { html, table } from '../../../src/harness/report/html.ts'

describe('markup', () => {
  it('escapes text, joins lists, leaves out undefined, and takes markup as it is', () => {
    const parts = ['<b>', html`<i>${'&'}</i>`, 3]
    expect(html`<p title="${'"\''}">${parts}${undefined}</p>`.markup).toBe(
      '<p title="&quot;&#39;">&lt;b&gt;<i>&amp;</i>3</p>',
    )
  })

  it('shows controls and what reorders text as escapes; lines of a scheme stay lines', () => {
    expect(html`${'a\u0000\u001b\u202eb\nc'}`.markup).toBe('a\\u0000\\u001b\\u202eb\nc')
  })

  it('no text can begin a tag or end an attribute', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(html`${text}`.markup).not.toMatch(/[<>"']|&(?!amp;|lt;|gt;|quot;|#39;)/)
      }),
    )
  })

  it('tables tell headings of columns and rows, and scroll by themselves with the keyboard', () => {
    const columns = [{ heading: 'Name' }, { heading: 'Size', numeric: true }]
    const { markup } = table('Sizes & more', columns, [['<a>', 5]])
    expect(markup).toMatch(/<caption>\s*Sizes &amp; more\s*<\/caption>/)
    expect(markup).toMatch(/<th scope="col"\s+class="number">Size<\/th>/)
    expect(markup).toMatch(/<th scope="row"\s*>&lt;a&gt;<\/th>/)
    expect(markup).toContain('<td class="number" data-heading="Size">5</td>')
    expect(markup).toMatch(/tabindex="0"\s+role="region"\s+aria-label="Sizes &amp; more"/)
  })
})
