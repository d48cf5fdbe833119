/** Words that messages are made of. */

/** The message of anything thrown. */
export const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);

/** The first line of the message of anything thrown. */
export const firstLineOf = (error: unknown): string => messageOf(error).split('\n')[0].trim();

/** A number of things: `1 frame`, `25 frames`. */
export const counted = (count: number, noun: string): string =>
  `${count} ${noun}${count === 1 ? '' : 's'}`;

/** Names to choose from: `a, b or c`. */
export const either = (names: readonly string[]): string =>
  names.join(', ').replace(/, ([^,]*)$/, ' or $1');

/** A value of any type in a few words: numbers and words as they are, strings in quotes. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  if (typeof value === 'function') return 'a function';
  if (typeof value !== 'object' || value === null) return String(value);
  const name = value.constructor?.name ?? 'Object';
  return `${/^[AEIO]/.test(name) ? 'an' : 'a'} ${name}`;
}

/** Says that an option has a value that it cannot have. */
export const notOneOf = (name: string, value: unknown, allowed: readonly string[]): string =>
  `\`${name}\` has to be one of ${allowed.join(', ')} but is ${String(value)}.`;

/** @throws Error if an option has a value that is not `allowed`. */
export function checkOneOf(name: string, value: unknown, allowed: readonly string[]): void {
  if (!allowed.includes(value as string)) throw new Error(notOneOf(name, value, allowed));
}
