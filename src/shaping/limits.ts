// How much a padding scheme may ask for: what the language itself allows, and the narrower bounds for
// a scheme that came from a server (D23).

/** Bounds on a padding scheme, all of them inclusive. */
export interface SchemeLimits {
  /** Bytes of the scheme in KV form. The LF behind the last line counts, even where it is left out. */
  readonly maxTextBytes: number
  /** The value of `stop`: how many Delivers of a connection are shaped, one Write and flush at a time. */
  readonly maxStop: number
  /** Items in one entry, `c` included: how many Writes a single Deliver may become. */
  readonly maxItems: number
  /** Bytes of one size: the padding of AUTH, or the target of one Write. */
  readonly maxSize: number
  /**
   * Bytes that the whole scheme can ask for on one connection, every draw being the largest and every
   * size being used: the first range of index 0, and all ranges of the indexes below stop.
   */
  readonly maxTotalBytes: number
  /**
   * Bytes that one restart can ask for, counted in the same way over the indexes from `restart` on. The
   * bound on a connection is then this, once for each stream opened, on top of `maxTotalBytes`.
   */
  readonly maxRestartBytes: number
}

/**
 * What the language allows. `parseScheme` holds an operator's own scheme to it.
 *
 * - `maxTextBytes` 65,535: the body of PADDING_UPDATE_SCHEME (D10); a longer scheme could not be sent.
 * - `maxStop` 2^32 - 1: the original counts in 32 bits. It bounds the indexes as well.
 * - `maxItems` 1,024, `maxTotalBytes` 16 MiB: a Deliver is made in memory as a whole. No scheme of
 *   65,535 bytes with Writes of ordinary size comes near.
 * - `maxSize` 65,535: the cap on AUTH padding (D10), and the most that one waste frame of the original
 *   can hold. A Write above 16,384 bytes is legal but leaves as several TLS records.
 * - `maxRestartBytes` 16 MiB: `maxTotalBytes` bounds it already.
 */
export const LANGUAGE_LIMITS: SchemeLimits = Object.freeze({
  maxTextBytes: 65_535,
  maxStop: 0xffff_ffff,
  maxItems: 1024,
  maxSize: 65_535,
  maxTotalBytes: 16 * 1024 * 1024,
  maxRestartBytes: 16 * 1024 * 1024,
})

/**
 * What a server may ask of a client by default. The built-in scheme has a `stop` of 8, at most 9 items
 * in an entry and asks for 9,928 bytes in the worst case.
 *
 * - `maxTextBytes`, `maxSize`: as the language has it, since the client must use the server's scheme
 *   (draft, Padding Scheme Update) and the wire bounds both already.
 * - `maxStop` 4,096: shaped Delivers are flushed one by one, so a large `stop` slows down a transfer.
 * - `maxItems` 128: a single keystroke may then become 128 Writes at most.
 * - `maxTotalBytes` 1 MiB for each connection: a hundred times the built-in scheme, and still
 *   affordable on a metered line.
 * - `maxRestartBytes` 64 KiB for each stream opened: streams are opened a hundred times as often as
 *   connections. It is six times what the built-in scheme would ask for with `restart=1`.
 */
export const DEFAULT_SCHEME_LIMITS: SchemeLimits = Object.freeze({
  ...LANGUAGE_LIMITS,
  maxStop: 4096,
  maxItems: 128,
  maxTotalBytes: 1024 * 1024,
  maxRestartBytes: 64 * 1024,
})
