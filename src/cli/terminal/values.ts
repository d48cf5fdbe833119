/**
 * Readers of option values: from the text of a value to a number or a file, with errors that say
 * what is allowed.
 */
import { hasEnding } from '../../text/endings.ts';
import { didYouMean } from '../../text/nearest.ts';
import { UsageError } from './errors.ts';

/** Reads the text that the option `--flag` is given. @throws UsageError if it is not allowed. */
export interface Reader<T> {
  (text: string, flag: string): T;
  /** What it allows, for the help: `1 or more`. */
  range?: string;
}

/** The numbers that an option takes. */
export interface Range {
  min: number;
  /** Default: no limit. */
  max?: number;
  /** The number has to be a multiple of it. */
  multipleOf?: number;
  /** What it counts, such as GiB. */
  unit?: string;
}

/** Reads a whole number within a range. */
export function wholeNumber(range: Range): Reader<number> {
  const { min, multipleOf = 1 } = range;
  const divisible = multipleOf === 1 ? '' : `divisible by ${multipleOf}`;
  const read = (text: string, flag: string) => {
    const value = numberOf(text);
    const isWithin = within(value, range);
    if (Number.isSafeInteger(value) && isWithin && value % multipleOf === 0) return value;
    const near = Math.max(min, Math.floor(value / multipleOf) * multipleOf);
    const hint = divisible && isWithin ? ` Try ${near}.` : '';
    const allowed = `a whole number ${described(range)}${divisible && ` and ${divisible}`}`;
    throw refused(flag, allowed, text, hint);
  };
  return Object.assign(read, { range: `${rangeOf(range)}${divisible && `, ${divisible}`}` });
}

/** Reads a finite number within a range. */
export function realNumber(range: Range): Reader<number> {
  const read = (text: string, flag: string) => {
    const value = numberOf(text);
    if (within(value, range)) return value;
    const unit = range.unit ? `, in ${range.unit},` : '';
    throw refused(flag, `a number ${described(range)}${unit}`, text);
  };
  return Object.assign(read, { range: rangeOf(range) });
}

/** Reads at least `count` numbers within a range, separated by commas. */
export function realNumbers(range: Range, count: number): Reader<number[]> {
  const read = (text: string, flag: string) => {
    const values = text.split(',').map(numberOf);
    if (values.length >= count && values.every((value) => within(value, range))) return values;
    const allowed = `at least ${count} numbers ${described(range)}, separated by commas,`;
    throw refused(flag, allowed, text);
  };
  return Object.assign(read, { range: `${count} or more` });
}

/** Reads two numbers within a range, the lower one first, separated by a comma. */
export const twoNumbers =
  (range: Range): Reader<[number, number]> =>
  (text, flag) => {
    const [low, high, ...more] = text.split(',').map(numberOf);
    if (within(low, range) && low <= high && within(high, range) && more.length === 0)
      return [low, high];
    throw refused(flag, `two numbers ${described(range)}, the lower one first,`, text);
  };

/** A seed of 64 bits. One that a number does not hold exactly is its decimal digits. */
export type Seed = number | string;

const seedRange = 'a whole number from -2^63 to 2^64 - 1';

/** Reads a seed. */
export const seed: Reader<Seed> = Object.assign(
  (text: string, flag: string) => {
    const value = wholeOf(text.trim());
    if (value === undefined || value < -(2n ** 63n) || value >= 2n ** 64n)
      throw refused(flag, seedRange, text);
    return Number.isSafeInteger(Number(value)) ? Number(value) : `${value}`;
  },
  { range: seedRange },
);

/** The whole number that `text` writes, of any size in plain digits. */
function wholeOf(text: string): bigint | undefined {
  if (/^[+-]?\d+$/.test(text)) return BigInt(text.replace('+', ''));
  const value = numberOf(text);
  return Number.isSafeInteger(value) ? BigInt(value) : undefined;
}

const units: Record<string, number> = {
  ...{ '': 1, B: 1, kB: 1e3, MB: 1e6, GB: 1e9 },
  ...{ KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 },
};

/** Reads a number of bytes, with or without a unit. */
export const byteCount: Reader<number> = (text, flag) => {
  const [, number, unit] = /^([\d.]+) ?([A-Za-z]*)$/.exec(text.trim()) ?? [];
  const bytes = Math.round(numberOf(number ?? '') * (units[unit] ?? Number.NaN));
  if (bytes >= 1) return bytes;
  throw refused(flag, 'a number of bytes, such as 100000, 64MB or 1GiB,', text);
};

/** Values that people try, each with the name that it stands for, or a sentence of the way out. */
export type OtherValues =
  | Readonly<Record<string, string>>
  | ((value: string) => string | undefined);

/** Reads one of `names`. */
export const oneOf =
  <T extends string>(names: readonly T[], others: OtherValues = {}) =>
  (text: string, flag: string): T => {
    const table = typeof others === 'function' ? { [text]: others(text) } : others;
    const other = Object.hasOwn(table, text) ? table[text] : undefined;
    const found = names.find((name) => name === text || name === other);
    if (found !== undefined) return found;
    const hint = other === undefined ? didYouMean(text, names) : ` ${other}`;
    throw refused(flag, `one of ${names.join(', ')}`, text, hint);
  };

/** Reads the path of a file with this ending, or a word that stands for none. */
export const fileEnding =
  (ending: string, word?: string): Reader<string> =>
  (path, flag) => {
    if (path === word || hasEnding(path, ending)) return path;
    throw new UsageError(`--${flag} has to end with ${ending} but is "${path}".`);
  };

/** Reads the path of a safetensors file. */
export const tensorFile = fileEnding('.safetensors');

/** The number that `text` writes in decimal, or NaN if it does not write a finite one. */
export function numberOf(text: string): number {
  const isDecimal = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text.trim());
  return isDecimal && Number.isFinite(Number(text)) ? Number(text) : Number.NaN;
}

const within = (value: number, { min, max = Number.POSITIVE_INFINITY }: Range) =>
  value >= min && value <= max;

const rangeOf = ({ min, max }: Range) =>
  max === undefined ? `${min} or more` : `${min} to ${max}`;

const described = (range: Range) => `${range.max === undefined ? 'of' : 'from'} ${rangeOf(range)}`;

const refused = (flag: string, allowed: string, text: string, hint = '') =>
  new UsageError(`--${flag} has to be ${allowed} but is "${text}".${hint}`);
