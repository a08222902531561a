// What the built-in site shows: the pages of a community garden that does not exist.
// Must never name a product, a protocol, a real place or a date, or load anything from elsewhere.

/** A file of the site. */
export interface SiteFile {
  readonly type: string
  readonly body: Uint8Array
}

const HTML = 'text/html; charset=utf-8'

const STYLE = `:root {
  color-scheme: light dark;
  --text: #24302a;
  --soft: #5b6a61;
  --page: #f8f9f5;
  --line: #d9dfd5;
  --green: #2f6b3a;
}

@media (prefers-color-scheme: dark) {
  :root {
    --text: #e3e9e2;
    --soft: #a3b0a6;
    --page: #171d19;
    --line: #344037;
    --green: #8fcb97;
  }
}

* {
  box-sizing: border-box;
}

body {
  margin: 0 auto;
  padding: 2rem 1.25rem 3rem;
  max-width: 42rem;
  background: var(--page);
  color: var(--text);
  font: 1.0625rem/1.6 Georgia, 'Times New Roman', serif;
}

header,
footer {
  font-family: system-ui, sans-serif;
}

header {
  display: flex;
  flex-wrap: wrap;
  gap: 0.5rem 1.5rem;
  align-items: baseline;
  justify-content: space-between;
  padding-bottom: 1rem;
  border-bottom: 1px solid var(--line);
}

header strong {
  font-size: 1.125rem;
}

nav a {
  margin-left: 1rem;
}

h1 {
  margin: 2rem 0 0.5rem;
  font-size: 1.75rem;
  line-height: 1.25;
}

h2 {
  margin: 2rem 0 0.25rem;
  font-size: 1.25rem;
}

a {
  color: var(--green);
}

table {
  width: 100%;
  border-collapse: collapse;
}

th,
td {
  padding: 0.375rem 0;
  border-bottom: 1px solid var(--line);
  text-align: left;
  font-weight: normal;
}

footer {
  margin-top: 3rem;
  color: var(--soft);
  font-size: 0.875rem;
}
`

const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">
  <path d="M5 27C3 13 13 3 27 5c2 14-8 24-22 22z" fill="#3a7d44"/>
  <path d="M5 27 21 11" stroke="#ddeed5" stroke-width="2" stroke-linecap="round"/>
</svg>
`

/** The same leaf for browsers that ask for `/favicon.ico`. */
const ICON_16 =
  'AAABAAEAEBAAAAEAIACLAAAAFgAAAIlQTkcNChoKAAAADUlIRFIAAAAQAAAAEAgDAAAAKC0PUwAAAAlQTFRFAAAA' +
  'On1E3e7VgKN4RQAAAAN0Uk5TAP//RFDWIQAAAC5JREFUeNpjYCAJMDKi8hiRBUA8Jgw+IzqfERefAcpnxMVnQOcz' +
  'YPBRuegOJgwAK5AAUV30ciIAAAAASUVORK5CYII='

const HOME = page(
  'Brook Lane Garden',
  `<h1>A garden for everybody on the lane</h1>
      <p>
        Forty plots, two greenhouses and an old pear tree: Brook Lane Garden is looked after by the people
        who live around it. The gate is open to visitors whenever somebody is here to hold it.
      </p>
      <h2>When we are here</h2>
      <table>
        <tr><th scope="row">Wednesday</th><td>16:00 to dusk</td></tr>
        <tr><th scope="row">Saturday</th><td>9:00 to 13:00</td></tr>
        <tr><th scope="row">Sunday</th><td>10:00 to 12:00, from spring to autumn</td></tr>
      </table>
      <h2>Lend a hand</h2>
      <p>
        On the first Saturday of the month we work on the paths, the compost and the hedge together. Gloves
        and tea are there, no experience is needed. Afterwards we share what is ripe.
      </p>
      <h2>Seed library</h2>
      <p>
        In the blue cupboard by the tool shed you find beans, tomatoes, squash and flowers in paper bags.
        Take what you can sow, and bring some seeds back at the end of the season.
      </p>`,
)

const ABOUT = page(
  'About - Brook Lane Garden',
  `<h1>About the garden</h1>
      <p>
        The ground was a timber yard before it stood empty. Neighbours cleared it, brought in soil and built
        the first raised beds from what the yard had left behind. Some of those boards are still in use.
      </p>
      <h2>Plots</h2>
      <p>
        A plot is about twenty square metres and goes to whoever has waited longest. We garden without
        sprays, water in the evening, and keep the paths free for wheelbarrows and wheelchairs.
      </p>
      <h2>Get in touch</h2>
      <p>
        The notice board at the gate is the quickest way. Leave your name for the waiting list in the letter
        box beside it; we answer every note at the next open day.
      </p>`,
)

const NOT_FOUND = page(
  'Page not found - Brook Lane Garden',
  `<h1>Nothing grows here</h1>
      <p>There is no page at this address. The <a href="/">front page</a> is a good place to start.</p>`,
)

/** The files of the site by path. */
export const SITE_FILES: ReadonlyMap<string, SiteFile> = new Map([
  ['/', HOME],
  ['/index.html', HOME],
  ['/about.html', ABOUT],
  ['/style.css', textFile('text/css; charset=utf-8', STYLE)],
  ['/favicon.svg', textFile('image/svg+xml', ICON)],
  ['/favicon.ico', { type: 'image/x-icon', body: Buffer.from(ICON_16, 'base64') }],
  ['/robots.txt', textFile('text/plain; charset=utf-8', 'User-agent: *\nAllow: /\n')],
])

/** What every other path shows. */
export const NOT_FOUND_PAGE: SiteFile = NOT_FOUND

function page(title: string, main: string): SiteFile {
  return textFile(
    HTML,
    `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>${title}</title>
    <link rel="icon" href="/favicon.svg" type="image/svg+xml">
    <link rel="stylesheet" href="/style.css">
  </head>
  <body>
    <header>
      <strong>Brook Lane Garden</strong>
      <nav><a href="/">Home</a> <a href="/about.html">About</a></nav>
    </header>
    <main>
      ${main}
    </main>
    <footer>Brook Lane Garden is kept by volunteers.</footer>
  </body>
</html>
`,
  )
}

function textFile(type: string, text: string): SiteFile {
  return { type, body: Buffer.from(text) }
}
