/** Words that messages are made of. */

/** The message of anything thrown. */
export const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);

/** The first line of the message of anything thrown. */
export const firstLineOf = (error: unknown): string => messageOf(error).split('\n')[0].trim();

/** A number of things: `1 frame`, `25 frames`. */
export const counted = (count: number, noun: string): string =>
  `${count} ${noun}${count === 1 ? '' : 's'}`;

/** Names or numbers in a row: `a, b and c`. */
export const joined = (names: readonly (string | number)[], word = 'and'): string =>
  names.join(', ').replace(/, ([^,]*)$/, ` ${word} $1`);

/** Names to choose from: `a, b or c`. */
export const either = (names: readonly (string | number)[]): string => joined(names, 'or');

/**
 * A value of any type in a few words: numbers, words and short lists as they are, strings in
 * quotes.
 */
export function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (Array.isArray(value)) {
    if (value.length === 0) return 'an empty list';
    return value.length > 8 ? 'a list' : `[${value.map(shown).join(',')}]`;
  }
  if (typeof value === 'function') return 'a function';
  if (typeof value !== 'object' || value === null) return String(value);
  const name = value.constructor?.name ?? 'Object';
  return `${/^[AEIO]/.test(name) ? 'an' : 'a'} ${name}`;
}
