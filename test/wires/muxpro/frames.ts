// Frames of Mux.Pro made and read by hand, for tests of what the package makes and reads.

const encoder = new TextEncoder()
const decoder = new TextDecoder('latin1')

/** What a New asks for; the address as its bytes. */
export interface HandMadeNew {
  readonly network?: number
  readonly priority?: number
  readonly port?: number
  readonly type?: number
  readonly address?: readonly number[]
}

/** Frames as bytes, legal ones and others. */
export const write = {
  frame(id: number, state: number, opt: number, fields: readonly number[] = [], extra?: Data) {
    const head = [...two(4 + fields.length), ...two(id), state, opt, ...fields]
    if (extra === undefined) return Uint8Array.from(head)
    const data = bytesOf(extra)
    const bytes = new Uint8Array(head.length + 2 + data.length)
    bytes.set([...head, ...two(data.length)])
    bytes.set(data, head.length + 2)
    return bytes
  },
  negotiate(...versions: readonly number[]) {
    return write.frame(0, 0, 1, [versions.length], Uint8Array.from(versions.flatMap(four)))
  },
  /** With the count before the list (D36). */
  negotiateGo(...versions: readonly number[]) {
    return write.frame(0, 0, 1, [], Uint8Array.from([versions.length, ...versions.flatMap(four)]))
  },
  /** To 192.0.2.1, port 80, unless told otherwise. */
  new(id: number, target: HandMadeNew = {}, data?: Data) {
    const { network = 1, priority = 128, port = 80, type = 1, address = [192, 0, 2, 1] } = target
    const fields = [network, priority, ...two(port), type, ...address]
    return write.frame(id, 1, data === undefined ? 0 : 1, fields, data)
  },
  keep(id: number, data?: Data) {
    return write.frame(id, 2, data === undefined ? 0 : 1, [], data)
  },
  end(id: number, code?: number) {
    return code === undefined ? write.frame(id, 3, 0) : write.frame(id, 3, 1, two(code))
  },
  keepAlive: (id = 0) => write.frame(id, 4, 0),
  credit: (id: number, increment: number) =>
    write.frame(id, 5, 1, [], Uint8Array.from(four(increment))),
}

type Data = string | Uint8Array

/**
 * A line for each frame: `NEGOTIATE 0`, `NEGOTIATE-GO 0`, `NEW 1 tcp 192.0.2.1:80 p128 +hello`, `KEEP 1`,
 * `KEEP 1 +hello`, `END 1 0`, `KEEPALIVE`, `CREDIT 1 32768`; data of more than 20 bytes as its length.
 */
export function describeFrames(bytes: Uint8Array): string[] {
  const lines: string[] = []
  let offset = 0
  const take = (length: number): Uint8Array => {
    if (offset + length > bytes.length)
      throw new Error(`the bytes end inside a frame: ${lines.join()}`)
    offset += length
    return bytes.subarray(offset - length, offset)
  }
  while (offset < bytes.length) {
    const metadata = take(number(take(2)))
    const [, , state = 0, opt = 0] = metadata
    const id = number(metadata.subarray(0, 2))
    const hasData = state !== 3 && (opt & 1) !== 0
    const extra = hasData ? take(number(take(2))) : undefined
    lines.push(describe(id, state, metadata.subarray(4), extra))
  }
  return lines
}

function describe(
  id: number,
  state: number,
  fields: Uint8Array,
  extra: Uint8Array | undefined,
): string {
  const data = extra === undefined ? '' : ` +${shownData(extra)}`
  switch (state) {
    case 0: {
      const list = fields.length === 0 ? extra?.subarray(1) : extra
      const versions = Array.from({ length: (list?.length ?? 0) / 4 }, (_, index) =>
        number(list?.subarray(4 * index, 4 * index + 4) ?? fields),
      )
      return `NEGOTIATE${fields.length === 0 ? '-GO' : ''} ${versions.join(',')}`
    }
    case 1: {
      const [network, priority, , , type] = fields
      const port = number(fields.subarray(2, 4))
      const host = type === 2 ? decoder.decode(fields.subarray(6)) : fields.subarray(5).join('.')
      return `NEW ${id} ${network === 2 ? 'udp' : 'tcp'} ${host}:${port} p${priority}${data}`
    }
    case 2:
      return `KEEP ${id}${data}`
    case 3:
      return `END ${id} ${number(fields)}`
    case 4:
      return 'KEEPALIVE'
    default:
      return `CREDIT ${id} ${number(extra ?? fields)}`
  }
}

function shownData(data: Uint8Array): string {
  return data.length > 20 ? `${data.length} bytes` : decoder.decode(data)
}

function number(bytes: Uint8Array): number {
  return bytes.reduce((sum, byte) => sum * 256 + byte, 0)
}

function two(value: number): number[] {
  return [(value >> 8) & 0xff, value & 0xff]
}

function four(value: number): number[] {
  return [...two(Math.floor(value / 65_536)), ...two(value % 65_536)]
}

function bytesOf(data: Data): Uint8Array {
  return typeof data === 'string' ? encoder.encode(data) : data
}
