/**
 * Turns the texts of option values into numbers and names, with errors that say what is allowed.
 */

import { didYouMean } from '../../text/nearest.ts';
import { UsageError } from './errors.ts';

/** The numbers that an option takes. */
export interface Range {
  min: number;
  /** Default: no limit. */
  max?: number;
  /** The number has to be a multiple of it. */
  multipleOf?: number;
}

/**
 * A whole number within `range`. @throws UsageError that names the option, the value and the range.
 */
export function wholeNumber(option: string, text: string, range: Range): number {
  const value = numberOf(text);
  const { multipleOf } = range;
  if (
    !Number.isSafeInteger(value) ||
    !within(value, range) ||
    (multipleOf !== undefined && value % multipleOf !== 0)
  ) {
    const divisible = multipleOf === undefined ? '' : ` and divisible by ${multipleOf}`;
    throw refused(
      option,
      `a whole number ${described(range)}${divisible}`,
      text,
      multipleNear(value, range),
    );
  }
  return value;
}

/**
 * A finite number within `range`. @throws UsageError that names the option, the value and the
 * range.
 */
export function realNumber(option: string, text: string, range: Range): number {
  const value = numberOf(text);
  if (!Number.isFinite(value) || !within(value, range))
    throw refused(option, `a number ${described(range)}`, text);
  return value;
}

/**
 * The bytes that a number with or without a unit means. @throws UsageError that names the option
 * and the value.
 */
export function byteCount(option: string, text: string): number {
  const units: Record<string, number> = {
    '': 1,
    B: 1,
    kB: 1e3,
    MB: 1e6,
    GB: 1e9,
    KiB: 2 ** 10,
    MiB: 2 ** 20,
    GiB: 2 ** 30,
  };
  const [, number, unit] = /^([\d.]+) ?([A-Za-z]*)$/.exec(text.trim()) ?? [];
  const bytes = Math.round(numberOf(number ?? '') * (units[unit] ?? Number.NaN));
  if (!(bytes >= 1))
    throw refused(option, 'a number of bytes, such as 100000, 64MB or 1GiB,', text);
  return bytes;
}

/**
 * Numbers within `range`, separated by commas. @throws UsageError that names the option, the value
 * and the range.
 */
export function realNumbers(option: string, text: string, range: Range, atLeast: number): number[] {
  const values = text.split(',').map(numberOf);
  if (
    values.length < atLeast ||
    !values.every((value) => Number.isFinite(value) && within(value, range))
  ) {
    throw refused(
      option,
      `at least ${atLeast} numbers ${described(range)}, separated by commas,`,
      text,
    );
  }
  return values;
}

/** One of `names`. @throws UsageError that names the option, the value and the names. */
export function oneOf<T extends string>(option: string, text: string, names: readonly T[]): T {
  const found = names.find((name) => name === text);
  if (found === undefined)
    throw refused(option, `one of ${names.join(', ')}`, text, didYouMean(text, names));
  return found;
}

/** The number that `text` writes in decimal; NaN if it is none or beyond all numbers. */
function numberOf(text: string): number {
  const value = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text.trim())
    ? Number(text)
    : Number.NaN;
  return Number.isFinite(value) ? value : Number.NaN;
}

function within(value: number, { min, max = Number.POSITIVE_INFINITY }: Range): boolean {
  return value >= min && value <= max;
}

function described({ min, max }: Range): string {
  return max === undefined ? `of ${min} or more` : `from ${min} to ${max}`;
}

function multipleNear(
  value: number,
  { min, max = Number.POSITIVE_INFINITY, multipleOf }: Range,
): string {
  if (multipleOf === undefined || !Number.isFinite(value) || !within(value, { min, max }))
    return '';
  return ` Try ${Math.max(min, Math.floor(value / multipleOf) * multipleOf)}.`;
}

function refused(option: string, allowed: string, text: string, hint = ''): UsageError {
  return new UsageError(`--${option} has to be ${allowed} but is "${text}".${hint}`);
}
