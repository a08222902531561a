// Reads the heads of the TLS records of one direction as its bytes go by (RFC 8446, section 5.1; RFC 5246,
// section 6.2.1), whatever their segmentation.
import { RECORD_HEAD_LENGTH, RECORD_SIZE } from '../../codec/tls-record.ts'

/** Bytes of the longest record, head included: TLS 1.2 allows more than TLS 1.3. */
export const RECORD_MAX_LENGTH = RECORD_HEAD_LENGTH + RECORD_SIZE + 2_048

/** The content types that records have (RFC 8446, section 5.1; heartbeat: RFC 6520). */
export const ContentType = {
  ChangeCipherSpec: 20,
  Alert: 21,
  Handshake: 22,
  ApplicationData: 23,
  Heartbeat: 24,
} as const

/** A record that has gone by as a whole. */
export interface TlsRecord {
  /** Its content type as the head tells it; most of TLS 1.3 is called 23. */
  readonly type: number
  /** Bytes on the wire, the {@link RECORD_HEAD_LENGTH} of the head included. */
  readonly bytes: number
}

/** Reads one direction of one connection. */
export class RecordReader {
  readonly #head = new Uint8Array(RECORD_HEAD_LENGTH)
  #headLength = 0
  /** Bytes of the record under way that have still to come, once its head is known. */
  #missing = 0
  /** Bytes of the direction up to the record under way. */
  #offset = 0
  #lostAt: number | undefined

  /**
   * Where the bytes ceased to be TLS, or to be known: the offset in the direction at which a record should begin
   * and none does. From then on nothing is read any more. `undefined` while all is well.
   */
  get lostAt(): number | undefined {
    return this.#lostAt
  }

  /** Takes the next bytes of the direction; returns the records that end in them, in order. */
  push(bytes: Uint8Array): TlsRecord[] {
    const records: TlsRecord[] = []
    let position = 0
    while (position < bytes.length && this.#lostAt === undefined) {
      if (this.#headLength < RECORD_HEAD_LENGTH) {
        this.#head[this.#headLength] = bytes[position] ?? 0
        this.#headLength += 1
        position += 1
        if (!this.#headFits()) this.#lostAt = this.#offset
        this.#missing = this.#bodyLength()
      } else {
        const passed = Math.min(this.#missing, bytes.length - position)
        position += passed
        this.#missing -= passed
      }
      if (this.#headLength === RECORD_HEAD_LENGTH && this.#missing === 0) records.push(this.#end())
    }
    return records
  }

  /**
   * `length` bytes went by that nobody saw. As long as they belong to the record under way, nothing is lost by that;
   * otherwise it is unknown where the next one begins, and nothing is read any more.
   */
  skip(length: number): TlsRecord[] {
    if (this.#lostAt !== undefined) return []
    if (this.#headLength < RECORD_HEAD_LENGTH || length > this.#missing) {
      this.#lostAt = this.#offset
      return []
    }
    this.#missing -= length
    return this.#missing === 0 ? [this.#end()] : []
  }

  /** Whether what has come of the head can begin a record. */
  #headFits(): boolean {
    const [type = 0, major = 0, minor = 0] = this.#head
    switch (this.#headLength) {
      case 1:
        return type >= ContentType.ChangeCipherSpec && type <= ContentType.Heartbeat
      case 2:
        return major === 3
      case 3:
        return minor <= 4
      case RECORD_HEAD_LENGTH:
        return RECORD_HEAD_LENGTH + this.#bodyLength() <= RECORD_MAX_LENGTH
      default:
        return true
    }
  }

  #bodyLength(): number {
    const [, , , high = 0, low = 0] = this.#head
    return high * 256 + low
  }

  #end(): TlsRecord {
    const record = {
      type: this.#head[0] ?? 0,
      bytes: RECORD_HEAD_LENGTH + this.#bodyLength(),
    }
    this.#offset += record.bytes
    this.#headLength = 0
    this.#head.fill(0)
    return record
  }
}
