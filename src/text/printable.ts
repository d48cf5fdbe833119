/** Names and values of files, safe to print on a terminal. */

/**
 * Control characters, which move the cursor, change colours or answer as if typed, and marks that
 * turn the direction of the text around.
 */
const CONTROL = /[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/gu;

/** `text` as one line in which control characters are visible: a line feed as `\u000a`. */
export const printable = (text: string): string =>
  text.replace(CONTROL, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);

/** The same, but text that has several lines keeps them. */
export const printableLines = (text: string): string => text.split('\n').map(printable).join('\n');

/**
 * `value` as JSON on one line, cut if it is long or deep: for names and values that come out of
 * files.
 */
export function quoted(value: unknown): string {
  if (Array.isArray(value)) {
    const items = value
      .slice(0, 8)
      .map((item) => (typeof item === 'object' ? '...' : quoted(item)));
    return `[${items.join(',')}${value.length > 8 ? ',...' : ''}]`;
  }
  if (typeof value === 'object' && value !== null) return '{...}';
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value);
  return printable(text.length > 200 ? `${text.slice(0, 200)}...` : text);
}
