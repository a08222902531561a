// Makes text from outside safe to show on a terminal.
// Must never let through what moves a cursor, starts a new line or reorders what is read.

/** Control characters (C0, DEL, C1), bidirectional controls, line and paragraph separators. */
const UNSAFE = /[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}]/gu

/** Escape sequences of a JSON text: those that stand for a control character are group 1. */
const UNSAFE_IN_JSON = /\\(?:([bfnrt]|u[0-9a-fA-F]{4})|.)|[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}]/gu

/**
 * `text` with every unsafe character written as `\uXXXX`. A line of JSON stays the same JSON value,
 * for outside its strings there are no such characters.
 */
export function escapeControls(text: string): string {
  return text.replace(UNSAFE, unicodeEscape)
}

/**
 * One line of JSON whose strings, once parsed, show escapes where unsafe characters were.
 * For a reader that parses the line and prints the strings as they are.
 */
export function escapeJsonStrings(line: string): string {
  return line.replace(UNSAFE_IN_JSON, (match, escape: string | undefined) => {
    if (escape !== undefined) return `\\\\${escape}`
    return match.startsWith('\\') ? match : `\\${unicodeEscape(match)}`
  })
}

function unicodeEscape(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}
