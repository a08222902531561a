// TLS records in bytes (RFC 8446, section 5).

/** The head of a record: type, version, length. */
export const RECORD_HEAD_LENGTH = 5

/** Most bytes of content in one record. */
export const RECORD_SIZE = 16_384

/** What TLS 1.3 adds to the content of a record, in bytes: the head, one content type, sixteen of tag. */
export const RECORD_OVERHEAD = RECORD_HEAD_LENGTH + 1 + 16
