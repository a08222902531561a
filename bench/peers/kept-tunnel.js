// A tunnel of two Node programs that keeps its TLS connections, one for each of a program's connections at a time, with
// heads of three bytes before what they carry and nothing else: what requests cost on the platform itself where no
// handshake is made for them.
//   node kept-tunnel.js server HOST:PORT KEY CERT     node kept-tunnel.js client HOST:PORT
// One fixed target. The client answers SOCKS5 once the server has connected, and asks nothing of it.
import { Buffer } from 'node:buffer'
import { readFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { connect as connectTls, createServer as createTlsServer } from 'node:tls'

const [OPEN, OPENED, DATA, END] = [1, 2, 3, 4]
const HEAD = 3
const PIECE = 65_535
const NOTHING = new Uint8Array(0)
const [role, to = '', key = '', cert = ''] = process.argv.slice(2)
const [host = '', port = ''] = to.split(':')
const options = { allowHalfOpen: true, noDelay: true }
const target = { ...options, host, port: Number(port), autoSelectFamily: false }
/** What is read serves again at once: nothing is kept of it. */
const piece = Buffer.allocUnsafeSlow(PIECE)

function listening() {
  process.stderr.write(`listening on 127.0.0.1:${this.address().port}\n`)
}

/** @returns whether the sink wants more */
function frame(sink, kind, bytes = NOTHING) {
  const whole = Buffer.allocUnsafe(HEAD + bytes.length)
  whole[0] = kind
  whole.writeUInt16BE(bytes.length, 1)
  whole.set(bytes, HEAD)
  return sink.write(whole)
}

/** Takes frames apart: `on(kind, bytes)` for each, for what is long in pieces. */
function reader(on) {
  let head = NOTHING
  let missing = 0
  return (chunk) => {
    let at = 0
    while (at < chunk.length) {
      if (missing === 0) {
        const more = chunk.subarray(at, at + HEAD - head.length)
        head = head.length === 0 ? more : Buffer.concat([head, more])
        at += more.length
        if (head.length < HEAD) {
          head = Buffer.from(head)
          return
        }
        missing = (head[1] << 8) | head[2]
        if (missing === 0) on(head[0], NOTHING)
      } else {
        const bytes = chunk.subarray(at, at + missing)
        at += bytes.length
        missing -= bytes.length
        on(head[0], bytes)
      }
      head = missing === 0 ? NOTHING : Buffer.from(head)
    }
  }
}

/** Reads on when there is room again. */
function waitFor(sink, source) {
  source.pause()
  sink.once('drain', () => source.resume())
}

const idle = []

/** A connection to the server, with who has it. */
function takeTunnel() {
  const kept = idle.pop()
  if (kept !== undefined) return kept
  const tunnel = { socket: undefined, on: undefined }
  const read = reader((kind, bytes) => tunnel.on(kind, bytes))
  const callback = (length, buffer) => {
    read(buffer.subarray(0, length))
    return true
  }
  const onread = { buffer: piece, callback }
  tunnel.socket = connectTls({ ...target, rejectUnauthorized: false, onread })
  tunnel.socket.on('error', () => process.exit(1)).resume()
  return tunnel
}

function accept(program) {
  let asked = 0
  let ended = 0
  let tunnel
  const over = () => {
    ended += 1
    if (ended === 2) idle.push(tunnel)
  }
  const onFrame = (kind, bytes) => {
    if (kind === OPENED) program.write(Uint8Array.of(5, 0, 0, 1, 0, 0, 0, 0, 0, 0))
    else if (kind === END) {
      program.end()
      over()
    } else if (!program.write(Buffer.from(bytes))) waitFor(program, tunnel.socket)
  }
  program.on('error', () => process.exit(1))
  program.on('data', (bytes) => {
    // The greeting, then the request: each comes whole from the load of the bench.
    asked += 1
    if (asked === 1) program.write(Uint8Array.of(5, 0))
    else if (asked === 2) {
      tunnel = takeTunnel()
      tunnel.on = onFrame
      frame(tunnel.socket, OPEN)
    } else {
      let more = true
      for (let at = 0; at < bytes.length; at += PIECE) {
        more = frame(tunnel.socket, DATA, bytes.subarray(at, at + PIECE))
      }
      if (!more) waitFor(tunnel.socket, program)
    }
  })
  program.on('end', () => {
    frame(tunnel.socket, END)
    over()
  })
}

function serve(socket) {
  let origin
  const open = () => {
    const callback = (length, buffer) => {
      if (!frame(socket, DATA, buffer.subarray(0, length))) waitFor(socket, origin)
      return true
    }
    origin = connect({ ...target, onread: { buffer: piece, callback } }, () =>
      frame(socket, OPENED),
    )
    origin.on('end', () => frame(socket, END)).on('error', () => process.exit(1))
  }
  const read = reader((kind, bytes) => {
    if (kind === OPEN) open()
    else if (kind === END) origin.end()
    else if (!origin.write(bytes)) waitFor(origin, socket)
  })
  // Whoever measures ends the client first.
  socket.on('data', read).on('error', () => {})
}

if (role === 'client') {
  createServer(options, accept).listen(0, '127.0.0.1', listening)
} else {
  const files = { key: readFileSync(key), cert: readFileSync(cert) }
  const server = createTlsServer({ ...options, ...files, minVersion: 'TLSv1.3' }, serve)
  server.listen(0, '127.0.0.1', listening)
}
