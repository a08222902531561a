// The style sheet of a report: light and dark, wide and narrow, screen and paper.
// Must never use a colour whose contrast is below WCAG's 4.5 : 1 for text.

export const STYLE_SHEET = `
:root {
  color-scheme: light dark;
  --page: #ffffff; --text: #1b1f24; --quiet: #50575f; --line: #d5d9de; --raised: #f4f6f8; --link: #0a58a8;
  --series-a: #0b5fa5; --series-b: #b0400c; --series-c: #0a7450; --series-d: #86378a; --series-e: #735800;
  --series-f: #4d5560;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14171b; --text: #e8eaed; --quiet: #aeb5bd; --line: #3a4048; --raised: #1e2329; --link: #8ec4ff;
    --series-a: #6fb5f5; --series-b: #ff9d6c; --series-c: #5ecb9d; --series-d: #dc9ddf; --series-e: #e2c14c;
    --series-f: #c2c8d0;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 0 1.25rem 4rem; max-width: 74rem;
  background: var(--page); color: var(--text); font: 1rem/1.55 system-ui, sans-serif;
}
h1, h2, h3 { line-height: 1.25; }
h1 { margin: 2rem 0 0.5rem; }
h2 { margin: 3rem 0 0.5rem; padding-top: 0.75rem; border-top: 1px solid var(--line); }
h3 { margin: 1.75rem 0 0.5rem; font-size: 1.05rem; }
p, ul { max-width: 46rem; }
a { color: var(--link); }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
code, pre { font: 0.9em/1.45 ui-monospace, monospace; overflow-wrap: anywhere; }
pre { margin: 0.5rem 0; padding: 0.75rem; background: var(--raised); white-space: pre-wrap; max-height: 24rem; overflow: auto; }
.skip { position: absolute; left: -100rem; }
.skip:focus { left: 1rem; top: 0.5rem; padding: 0.5rem 1rem; background: var(--page); }
nav ul { display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; padding: 0; list-style: none; }
.quiet { color: var(--quiet); }
.scroll { overflow-x: auto; margin: 0.75rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 0.92rem; }
caption { text-align: left; padding: 0.25rem 0; color: var(--quiet); }
th, td { padding: 0.3rem 0.8rem 0.3rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
th { font-weight: 600; }
th.number, td.number { text-align: right; white-space: nowrap; }
.name { overflow-wrap: anywhere; min-width: 8rem; font-weight: 600; }
.key { display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; margin: 0; }
.source, .direction { white-space: nowrap; }
.source svg { display: inline-block; vertical-align: -0.3em; margin-right: 0.35em; overflow: visible; }
figure { margin: 1rem 0 1.5rem; }
figcaption { margin-bottom: 0.5rem; font-weight: 600; }
.plot text, .plot tspan { white-space: pre; }
.chart svg { display: block; width: 100%; min-width: 44rem; height: auto; }
summary { cursor: pointer; color: var(--link); width: fit-content; }
figure > .key { margin: 0 0 0.5rem; }
.key .name, .panel .name { font-weight: 400; min-width: 0; }
.panels { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: 0.75rem; padding: 0; }
.panels svg { display: block; width: 100%; height: auto; }
.panels h4 { margin: 0; font-size: 0.95rem; }
@media (max-width: 40rem) {
  .scroll:not(.chart) { overflow-x: visible; }
  table, tbody, tr, tbody th, td, caption { display: block; }
  thead { position: absolute; left: -100rem; }
  tr { padding: 0.4rem 0; border-bottom: 1px solid var(--line); }
  tbody th.number, tbody th, td { padding: 0.1rem 0; border: 0; text-align: left; overflow-wrap: anywhere; }
  td { display: flex; justify-content: space-between; gap: 1rem; }
  td.number { white-space: normal; text-align: right; }
  td[data-heading]:not([data-heading=""])::before { content: attr(data-heading); color: var(--quiet); text-align: left; }
}
@media print { .skip, nav { display: none; } }
`
