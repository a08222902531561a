// The page of the admin server: users, sessions, what goes through, all by way of the API.
// Must never put the token anywhere but into a header.
import uPlot from './uplot.js'
import { encode } from './uqr.js'

const TOKEN = 'anytls-token'
const INTERVAL = 2_000
const POINTS = 150
const UNITS = { B: 1, KB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12 }

const find = (id) => document.getElementById(id)
const dialog = find('dialog')

/** An element: `on…` in `props` are listeners, what is neither known nor text is left out. */
function make(tag, props = {}, ...children) {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(props)) {
    if (typeof value === 'function') element.addEventListener(name.slice(2), value)
    else if (name in element && name !== 'list') element[name] = value
    else element.setAttribute(name, value)
  }
  element.append(...children.filter((child) => child !== undefined && child !== null))
  return element
}

class Failure extends Error {}

async function call(method, path, body) {
  const token = sessionStorage.getItem(TOKEN)
  const headers = {
    ...(token && { authorization: `Bearer ${token}` }),
    ...(body && { 'content-type': 'application/json' }),
  }
  const response = await fetch(`api/v1/${path}`, {
    method,
    headers,
    ...(body && { body: JSON.stringify(body) }),
  })
  const answer = await response.json()
  if (response.status === 401) {
    await askToken()
    return call(method, path, body)
  }
  if (!response.ok) throw new Failure(answer.error.message)
  return answer
}

/** Shows the dialog; resolves when it is closed, with its return value. */
function show(title, ...content) {
  dialog.replaceChildren(make('h2', {}, title), ...content)
  dialog.returnValue = ''
  if (!dialog.open) dialog.showModal()
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => resolve(dialog.returnValue), { once: true })
  })
}

let asking
function askToken() {
  asking ??= (async () => {
    const input = make('input', { type: 'password', required: true, autocomplete: 'off' })
    const form = make(
      'form',
      { method: 'dialog' },
      make('label', {}, 'Token ', input),
      make('button', {}, 'Go on'),
    )
    await show('This server wants its token', form)
    sessionStorage.setItem(TOKEN, input.value)
    asking = undefined
  })()
  return asking
}

const path = (name, more = '') => `users/${encodeURIComponent(name)}${more}`

function amount(bytes) {
  const unit = Object.keys(UNITS).findLast((name) => bytes >= UNITS[name]) ?? 'B'
  return `${Number((bytes / UNITS[unit]).toPrecision(3))} ${unit}`
}

/** A button that does something, then looks at everything anew. */
function action(label, title, task) {
  const onclick = async () => {
    try {
      await task()
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      await show('That did not work', make('p', { className: 'bad' }, error.message), closer())
    }
    await refresh()
  }
  return make('button', { type: 'button', title, 'aria-label': title, onclick }, label)
}

const closer = (label = 'Close') => make('form', { method: 'dialog' }, make('button', {}, label))

/** Of each table: its rows by what they show. */
const drawn = new WeakMap()

/** Shows a row for each item; those that show what they did before are left as they are, however many there are. */
function fill(table, caption, headings, items, cellsOf) {
  // What has the focus keeps it.
  const focused = table.contains(document.activeElement)
    ? document.activeElement.getAttribute('aria-label')
    : undefined
  const rowOf = (item) => {
    const cells = cellsOf(item).map((cell, index) =>
      index === 0
        ? make('th', { scope: 'row' }, cell)
        : make('td', { 'data-label': headings[index] }, ...[cell].flat()),
    )
    return make('tr', {}, ...cells)
  }
  if (table.tHead === null) {
    const cells = headings.map((text) => make('th', { scope: 'col' }, text))
    table.append(make('thead', {}, make('tr', {}, ...cells)), make('tbody', {}))
  }
  const before = drawn.get(table)
  const rows = new Map()
  for (const item of items) {
    const shown = JSON.stringify(item)
    rows.set(shown, before?.get(shown) ?? rowOf(item))
  }
  drawn.set(table, rows)
  before?.forEach((row, shown) => {
    if (!rows.has(shown)) row.remove()
  })
  const [body] = table.tBodies
  let next = body.firstElementChild
  for (const row of rows.values()) {
    if (row === next) next = row.nextElementSibling
    else body.insertBefore(row, next)
  }
  table.setAttribute('aria-label', caption)
  if (focused)
    [...table.querySelectorAll('button')].find((one) => one.ariaLabel === focused)?.focus()
}

function usage({ quota, quotaUsed, quotaPeriod, name }) {
  if (quota === null) return '–'
  const label = `What ${name} has used of the quota`
  return [
    `${amount(quotaUsed)} of ${amount(quota)} / ${quotaPeriod}`,
    make('meter', { max: quota, value: quotaUsed, high: quota * 0.9, 'aria-label': label }),
  ]
}

function userRow(user) {
  const { name, enabled, state } = user
  return [
    name,
    make('span', { className: state === 'active' ? '' : 'bad' }, state),
    `${amount(user.up)} up, ${amount(user.down)} down`,
    usage(user),
    user.expires?.slice(0, 10) ?? '–',
    String(user.sessions),
    [
      action('Link', `Link of ${name}`, () => showLink(name)),
      action('Edit', `Edit ${name}`, () => edit(user)),
      action(enabled ? 'Disable' : 'Enable', `${enabled ? 'Disable' : 'Enable'} ${name}`, () =>
        call('PATCH', path(name), { enabled: !enabled }),
      ),
      action('Reset', `Set what ${name} has used to nothing`, () =>
        confirmed(`Set what ${name} has used to nothing?`, () =>
          call('POST', path(name, '/reset')),
        ),
      ),
      action('Remove', `Remove ${name}`, () =>
        confirmed(`Remove ${name}?`, () => call('DELETE', path(name))),
      ),
    ],
  ]
}

async function confirmed(question, task) {
  const form = make(
    'form',
    { method: 'dialog', className: 'bar' },
    make('button', { value: 'yes' }, 'Yes'),
    make('button', { value: 'no' }, 'No'),
  )
  if ((await show(question, form)) === 'yes') await task()
}

const showLink = async (name) => showLinks(name, await call('GET', path(name, '/link')))

async function showLinks(name, links) {
  if (links.uri === null) {
    await show(
      `${name}`,
      make('p', {}, 'The hash of the password alone is kept: there is no link.'),
      closer(),
    )
    return
  }
  const text = (label, value, rows) =>
    make(
      'label',
      {},
      label,
      make('textarea', { readOnly: true, rows, value, onfocus: (event) => event.target.select() }),
    )
  await show(
    `Links of ${name}`,
    drawQr(links.uri, 'QR code of the link'),
    text('anytls:// link (AnyTLS apps)', links.uri, 3),
    text('sing-box', links.singBox, 6),
    text('mihomo, Clash', links.mihomo, 6),
    ...(links.subscription
      ? [
          text('Subscription: apps look here again', links.subscription, 2),
          drawQr(links.subscription, 'QR code of the subscription'),
        ]
      : []),
    action('Renew subscription', `Another subscription for ${name}`, async () => {
      dialog.close()
      await showLinks(name, await call('POST', path(name, '/renew')))
    }),
    closer(),
  )
}

/** Black on white in either scheme: cameras want it so. */
function drawQr(text, label) {
  const { data, size } = encode(text, { border: 4 })
  const canvas = make('canvas', {
    className: 'qr',
    width: size,
    height: size,
    role: 'img',
    'aria-label': label,
  })
  const context = canvas.getContext('2d')
  context.fillStyle = '#fff'
  context.fillRect(0, 0, size, size)
  context.fillStyle = '#000'
  data.forEach((row, y) => row.forEach((dark, x) => dark && context.fillRect(x, y, 1, 1)))
  return canvas
}

async function edit(user) {
  const number = (value, more = {}) =>
    make('input', { type: 'number', min: 0, step: 'any', value: value ?? '', ...more })
  const name = make('input', {
    required: true,
    maxLength: 64,
    value: user?.name ?? '',
    disabled: user !== undefined,
  })
  const quota = number(user?.quota && user.quota / 1e9)
  const period = make(
    'select',
    {},
    ...['month', 'week', 'day', 'all'].map((one) =>
      make('option', { value: one, selected: one === user?.quotaPeriod }, one),
    ),
  )
  const expires = make('input', { type: 'date', value: user?.expires?.slice(0, 10) ?? '' })
  const [up, down] = [user?.maxUp, user?.maxDown].map((rate) => number(rate && rate / 1e6))
  const [sessions, addresses] = [user?.maxSessions, user?.maxAddresses].map((limit) =>
    number(limit, { step: 1 }),
  )
  const allowPrivate = make('input', { type: 'checkbox', checked: user?.allowPrivate ?? false })
  const newPassword = make('input', { type: 'checkbox' })
  const note = make('input', { maxLength: 1000, value: user?.note ?? '' })
  const problem = make('p', { className: 'bad', role: 'alert' })
  const scaled = ({ value }, unit) => (value === '' ? null : Math.round(Number(value) * unit))
  const onsubmit = async (event) => {
    event.preventDefault()
    const body = {
      quota: scaled(quota, 1e9),
      quotaPeriod: period.value,
      maxUp: scaled(up, 1e6),
      maxDown: scaled(down, 1e6),
      maxSessions: scaled(sessions, 1),
      maxAddresses: scaled(addresses, 1),
      allowPrivate: allowPrivate.checked,
      note: note.value === '' ? null : note.value,
      ...(expires.value !== (user?.expires?.slice(0, 10) ?? '') && {
        expires: expires.value || null,
      }),
      ...(newPassword.checked && { newPassword: true }),
      ...(user === undefined && { name: name.value }),
    }
    try {
      await (user === undefined
        ? call('POST', 'users', body)
        : call('PATCH', path(user.name), body))
      dialog.close()
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      problem.textContent = error.message
    }
  }
  const label = (text, ...inputs) => make('label', {}, `${text} `, ...inputs)
  await show(
    user === undefined ? 'Add a user' : `Edit ${user.name}`,
    make(
      'form',
      { onsubmit },
      label('Name', name),
      label('Quota, GB a', period, ' ', quota),
      label('Last day (UTC)', expires),
      label('Fastest up, MB/s', up),
      label('Fastest down, MB/s', down),
      label('Sessions at once', sessions),
      label('Addresses at once', addresses),
      label('May reach private addresses', allowPrivate),
      user && label('Make a new password', newPassword),
      label('Note', note),
      problem,
      make(
        'div',
        { className: 'bar' },
        make('button', {}, 'Save'),
        make('button', { type: 'button', onclick: () => dialog.close() }, 'Cancel'),
      ),
    ),
  )
}

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name)

/** @param span seconds that it shows, to this moment @param least what the scale shows at least */
function chart(id, names, format, span, least) {
  const place = find(id)
  const axis = { stroke: () => css('--text'), grid: { stroke: () => css('--line'), width: 1 } }
  const colors = ['--link', '--bad']
  const options = {
    width: place.clientWidth,
    height: 200,
    axes: [axis, { ...axis, size: 60 }],
    series: [
      { value: format },
      ...names.map((label, index) => ({
        label,
        stroke: () => css(colors[index]),
        width: 2,
        dash: index ? [6, 3] : [],
      })),
    ],
    scales: {
      x: { range: () => [Date.now() / 1000 - span, Date.now() / 1000] },
      y: { range: (_, low, high) => [0, Math.max(high ?? 0, least) * 1.05] },
    },
  }
  const plot = new uPlot(options, [[], ...names.map(() => [])], place)
  new ResizeObserver(() => plot.setSize({ width: place.clientWidth, height: 200 })).observe(place)
  return plot
}

const time = (_, value) => (value === null ? '–' : new Date(value * 1000).toLocaleTimeString())
const day = (_, value) => (value === null ? '–' : new Date(value * 1000).toISOString().slice(0, 10))
const rate = chart('rate', ['up', 'down'], time, (POINTS * INTERVAL) / 1000, 0.1)
const count = chart('count', ['sessions', 'streams'], time, (POINTS * INTERVAL) / 1000, 4)
const days = chart('days', ['up', 'down'], day, 30 * 86_400, 0.01)
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () =>
  [rate, count, days].forEach((plot) => plot.redraw()),
)

const seen = []
async function look() {
  const server = await call('GET', 'server')
  seen.push({ ...server, now: Date.now() / 1000 })
  if (seen.length > POINTS) seen.shift()
  const times = seen.map(({ now }) => now)
  const rates = (key) =>
    seen.map((one, index) => {
      const before = seen[index - 1]
      return before && Math.max(0, one[key] - before[key]) / (one.now - before.now) / 1e6
    })
  rate.setData([times, rates('up'), rates('down')])
  count.setData([times, seen.map(({ sessions }) => sessions), seen.map(({ streams }) => streams)])
  const { users, sessions, memory, version } = server
  find('state').textContent =
    `${version}, users: ${users ?? 'none'}, sessions: ${sessions}, memory: ${amount(memory)}`
  find('add').disabled = users === null
}

async function history() {
  const { days: all } = await call('GET', 'usage')
  const amounts = (key) => all.map((one) => one[key] / 1e9)
  days.setData([all.map((one) => Date.parse(one.day) / 1000), amounts('up'), amounts('down')])
}

async function refresh() {
  const query = encodeURIComponent(find('search').value)
  const { users, total } = await call('GET', `users?search=${query}`)
  const more = (shown, all) => (all > shown.length ? ` (${shown.length} of ${all})` : '')
  fill(
    find('users'),
    `Users${more(users, total)}`,
    ['Name', 'State', 'Used', 'Quota', 'Last day', 'Sessions', 'Actions'],
    users,
    userRow,
  )
  const { sessions, total: all } = await call('GET', 'sessions?limit=200')
  const row = (one) => [
    one.user ?? 'shared password',
    one.remoteAddress ?? '–',
    one.started.slice(0, 19).replace('T', ' '),
    String(one.streams),
    one.up === null ? '–' : `${amount(one.up)} up, ${amount(one.down)} down`,
    [action('End', `End the session ${one.id}`, () => call('DELETE', `sessions/${one.id}`))],
  ]
  fill(
    find('sessions'),
    `Sessions${more(sessions, all)}`,
    ['User', 'From', 'Since (UTC)', 'Streams', 'Carried', 'Actions'],
    sessions,
    row,
  )
}

async function repeat(task, interval) {
  for (;;) {
    try {
      if (!document.hidden) await task()
    } catch {
      find('state').textContent = 'the server does not answer'
    }
    await new Promise((resolve) => setTimeout(resolve, interval))
  }
}

find('add').addEventListener('click', () => edit().then(refresh))
find('search').addEventListener('input', () => refresh())
void repeat(async () => {
  await look()
  if (!dialog.open) await refresh()
}, INTERVAL)
void repeat(history, 60_000)
