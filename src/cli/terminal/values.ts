/**
 * Readers of option values: from the text of a value to a number or a file, with errors that say
 * what is allowed.
 */
import { didYouMean } from '../../text/nearest.ts';
import { UsageError } from './errors.ts';

/** Reads the text that the option `--flag` is given. @throws UsageError if it is not allowed. */
export type Reader<T> = (text: string, flag: string) => T;

/** The numbers that an option takes. */
export interface Range {
  min: number;
  /** Default: no limit. */
  max?: number;
  /** The number has to be a multiple of it. */
  multipleOf?: number;
}

/** Reads a whole number within a range. */
export const wholeNumber =
  (range: Range): Reader<number> =>
  (text, flag) => {
    const value = numberOf(text);
    const { multipleOf = 1 } = range;
    if (Number.isSafeInteger(value) && within(value, range) && value % multipleOf === 0)
      return value;
    const divisible = multipleOf === 1 ? '' : ` and divisible by ${multipleOf}`;
    const near = Math.max(range.min, Math.floor(value / multipleOf) * multipleOf);
    const hint = multipleOf !== 1 && within(value, range) ? ` Try ${near}.` : '';
    throw refused(flag, `a whole number ${described(range)}${divisible}`, text, hint);
  };

/** Reads a finite number within a range. */
export const realNumber =
  (range: Range): Reader<number> =>
  (text, flag) => {
    const value = numberOf(text);
    if (within(value, range)) return value;
    throw refused(flag, `a number ${described(range)}`, text);
  };

/** Reads at least `count` numbers within a range, separated by commas. */
export const realNumbers =
  (range: Range, count: number): Reader<number[]> =>
  (text, flag) => {
    const values = text.split(',').map(numberOf);
    if (values.length >= count && values.every((value) => within(value, range))) return values;
    const allowed = `at least ${count} numbers ${described(range)}, separated by commas,`;
    throw refused(flag, allowed, text);
  };

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

/** Reads one of `names`. */
export const oneOf =
  <T extends string>(names: readonly T[]): Reader<T> =>
  (text, flag) => {
    const found = names.find((name) => name === text);
    if (found !== undefined) return found;
    throw refused(flag, `one of ${names.join(', ')}`, text, didYouMean(text, names));
  };

/** Reads the path of a safetensors file. */
export const tensorFile: Reader<string> = (path, flag) => {
  if (path.endsWith('.safetensors')) return path;
  throw new UsageError(`--${flag} has to end with .safetensors but is "${path}".`);
};

/** The number that `text` writes in decimal, or NaN if it does not write a finite one. */
function numberOf(text: string): number {
  const isDecimal = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text.trim());
  return isDecimal && Number.isFinite(Number(text)) ? Number(text) : Number.NaN;
}

const within = (value: number, { min, max = Number.POSITIVE_INFINITY }: Range) =>
  value >= min && value <= max;

const described = ({ min, max }: Range) =>
  max === undefined ? `of ${min} or more` : `from ${min} to ${max}`;

const refused = (flag: string, allowed: string, text: string, hint = '') =>
  new UsageError(`--${flag} has to be ${allowed} but is "${text}".${hint}`);
