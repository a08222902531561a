// A tunnel of two Node programs without frames, passwords or names: what the platform itself costs. One connection over
// TCP or TLS for each program's connection, to one fixed target.
//   node tunnel.js server STYLE HOST:PORT KEY CERT     node tunnel.js client STYLE HOST:PORT
// Styles: `tcp` pipes without TLS, `pipe` pipes with it, `joined` reads into buffers that serve for ever, where Node's
// own options do that, and writes to programs in pieces of up to 64 KiB. The client answers SOCKS5 and asks nothing of it.
import { Buffer } from 'node:buffer'
import { readFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { setImmediate } from 'node:timers'
import { connect as connectTls, createServer as createTlsServer } from 'node:tls'

const PIECE = 65_536
const [role, style, to = '', key = '', cert = ''] = process.argv.slice(2)
const [host = '', port = ''] = to.split(':')
const isTls = style !== 'tcp'
const options = { allowHalfOpen: true, noDelay: true }

const spare = []
const takePiece = () => spare.pop() ?? Buffer.allocUnsafeSlow(PIECE)

function listening() {
  process.stderr.write(`listening on 127.0.0.1:${this.address().port}\n`)
}

/** Reads into buffers that go on to `write`, and come back when it is over. */
function lentTo(sink) {
  return {
    buffer: takePiece,
    callback(length, buffer) {
      const target = sink()
      const more = target.write(buffer.subarray(0, length), () => spare.push(buffer))
      if (!more) {
        this.pause()
        target.once('drain', () => this.resume())
      }
      return true
    },
  }
}

/** Gathers what one turn brings, and writes it at once. */
function joinedTo(sink) {
  let joined = takePiece()
  let length = 0
  let due = false
  const flush = () => {
    due = false
    if (length === 0) return
    const full = joined
    const more = sink.write(full.subarray(0, length), () => spare.push(full))
    joined = takePiece()
    length = 0
    if (more || socket === undefined) return
    socket.pause()
    sink.once('drain', () => socket.resume())
  }
  let socket
  return {
    of: (reader) => (socket = reader),
    flush,
    onread: {
      buffer: Buffer.allocUnsafeSlow(PIECE),
      callback(bytes, buffer) {
        if (length + bytes > PIECE) flush()
        buffer.copy(joined, length, 0, bytes)
        length += bytes
        if (!due) {
          due = true
          setImmediate(flush)
        }
        return true
      },
    },
  }
}

function tie(a, b) {
  for (const [side, other] of [
    [a, b],
    [b, a],
  ]) {
    side.on('error', () => other.destroy())
    side.on('close', () => other.destroySoon())
  }
}

function serve(socket) {
  const target = connect({
    ...options,
    host,
    port: Number(port),
    autoSelectFamily: false,
    ...(style === 'joined' ? { onread: lentTo(() => socket) } : {}),
  })
  tie(socket, target)
  socket.pipe(target)
  if (style !== 'joined') target.pipe(socket)
  else target.on('end', () => socket.end())
}

function accept(program) {
  let asked = 0
  program.on('data', function onData(chunk) {
    // The greeting, then the request: each comes whole from the load of the bench.
    asked += 1
    program.write(asked === 1 ? Uint8Array.of(5, 0) : Uint8Array.of(5, 0, 0, 1, 0, 0, 0, 0, 0, 0))
    if (asked < 2 || chunk.length === 0) return
    program.off('data', onData).pause()
    open(program)
  })
}

function open(program) {
  const joined = style === 'joined' ? joinedTo(program) : undefined
  const target = { ...options, host, port: Number(port), autoSelectFamily: false }
  const tunnel = isTls
    ? connectTls({ ...target, rejectUnauthorized: false, ...(joined && { onread: joined.onread }) })
    : connect(target)
  tunnel.setNoDelay(true)
  tie(program, tunnel)
  program.pipe(tunnel)
  if (joined === undefined) {
    tunnel.pipe(program)
    return
  }
  joined.of(tunnel)
  tunnel.on('end', () => {
    joined.flush()
    program.end()
  })
  tunnel.resume()
}

if (role === 'client') {
  createServer(options, accept).listen(0, '127.0.0.1', listening)
} else if (isTls) {
  const files = { key: readFileSync(key), cert: readFileSync(cert) }
  createTlsServer({ ...options, ...files, minVersion: 'TLSv1.3' }, serve).listen(
    0,
    '127.0.0.1',
    listening,
  )
} else {
  createServer(options, serve).listen(0, '127.0.0.1', listening)
}
