// Makes HTML out of values: text is escaped, markup is told apart by its type.
// Must never let text from a file into the page unescaped.

/** Markup that is safe to be put into a page. Made here alone. */
export class Html {
  readonly markup: string

  private constructor(markup: string) {
    this.markup = markup
  }

  static trusted(markup: string): Html {
    return new Html(markup)
  }
}

/** What a template takes: text and numbers are escaped, lists joined, `undefined` is nothing. */
export type HtmlPart = string | number | Html | undefined | readonly HtmlPart[]

/**
 * A template literal for markup.
 *
 * @example
 * html`<p>${'1 < 2'}</p>`.markup // <p>1 &lt; 2</p>
 */
export function html(strings: TemplateStringsArray, ...parts: readonly HtmlPart[]): Html {
  const markup = strings.map(
    (text, index) => text + (index < parts.length ? render(parts[index]) : ''),
  )
  return Html.trusted(markup.join(''))
}

function render(part: HtmlPart): string {
  if (part === undefined) return ''
  if (part instanceof Html) return part.markup
  if (typeof part === 'object') return part.map(render).join('')
  return String(part).replace(/[&<>"']|[\p{Cc}\p{Bidi_Control}]/gu, escapeCharacter)
}

const NAMED: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
  '\n': '\n',
}

/** Controls show as what they are: a file name must not reorder the page. */
function escapeCharacter(character: string): string {
  const code = character.charCodeAt(0).toString(16).padStart(4, '0')
  return NAMED[character] ?? `\\u${code}`
}

/** A part of the page with a heading of its own. */
export interface Section {
  readonly id: string
  readonly title: string
  readonly body: Html
}

/** A table column: its heading, and whether it holds numbers. */
export interface Column {
  readonly heading: HtmlPart
  readonly numeric?: boolean
}

/**
 * A table that scrolls by itself where it is wider than the page; in a narrow window each cell has a line of its own,
 * behind its heading. The first cell of a row is its heading.
 */
export function table(
  caption: string,
  columns: readonly Column[],
  rows: readonly (readonly HtmlPart[])[],
): Html {
  const labelOf = (index: number) => {
    const heading = columns[index]?.heading
    return typeof heading === 'string' ? heading : ''
  }
  const align = (index: number) => (columns[index]?.numeric === true ? html` class="number"` : '')
  return html`<div class="scroll" tabindex="0" role="region" aria-label="${caption}">
    <table>
      <caption>
        ${caption}
      </caption>
      <thead>
        <tr>
          ${columns.map(({ heading }, index) => html`<th scope="col" ${align(index)}>${heading}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${rows.map(
          ([heading, ...cells]) =>
            html`<tr>
              <th scope="row" ${align(0)}>${heading}</th>
              ${cells.map(
                (cell, index) =>
                  html`<td${align(index + 1)} data-heading="${labelOf(index + 1)}">${cell}</td>`,
              )}
            </tr> `,
        )}
      </tbody>
    </table>
  </div> `
}
