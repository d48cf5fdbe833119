/**
 * The numbers of svd-goldens.json, with a record of which of them were compared.
 *
 * Tolerance: the file's rule says that a float32 port of its models agrees within 1e-4 on every
 * value, so each stored value has to agree within 1e-4. Independent errors add up, so a sum of N
 * values may differ by sqrt(N) times as much. Stored sums are also rounded to four digits.
 */
import { readFileSync } from 'node:fs';
import { expect } from 'chai';

/** Largest difference of a single value. */
export const VALUE_TOLERANCE = 1e-4;

type Json = null | string | number | boolean | Json[] | { [key: string]: Json };

const goldens: Json = JSON.parse(
  readFileSync(new URL('../fixtures/svd-goldens.json', import.meta.url), 'utf8'),
);
const compared = new Set<string>();

const isNode = (value: Json): value is { [key: string]: Json } =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const pathOf = (keys: string[]) => keys.join(' / ');

/** Paths of everything below `value` that is not an object. */
function leavesBelow(value: Json, keys: string[]): string[] {
  return isNode(value)
    ? Object.entries(value).flatMap(([key, child]) => leavesBelow(child, [...keys, key]))
    : [pathOf(keys)];
}

function find(keys: string[]): Json {
  return keys.reduce<Json>((value, key) => {
    const child = isNode(value) ? value[key] : undefined;
    if (child === undefined) throw new Error(`svd-goldens.json has no ${pathOf(keys)}.`);
    return child;
  }, goldens);
}

/** The golden at a path. Everything below it then counts as compared. */
export function golden<T = number>(...keys: string[]): T {
  const value = find(keys);
  for (const leaf of leavesBelow(value, keys)) compared.add(leaf);
  return value as T;
}

/** The names below a path. None of them counts as compared. */
export function goldenNames(...keys: string[]): string[] {
  return Object.keys(find(keys) as object);
}

/** Paths of the numbers that nothing has asked for yet. */
export function uncompared(): string[] {
  return leavesBelow(goldens, []).filter((leaf) => !compared.has(leaf));
}

interface Summary {
  shape?: number[];
  numel: number;
  sum: number;
  abs_sum: number;
  max: number;
  min: number;
  first8: number[];
  mid4: number[];
  last4: number[];
}

/** Values in diffusers' axis order. */
export interface Values {
  data: ArrayLike<number>;
  shape: number[];
}

/** The file's summary of a tensor. */
export function summaryOf({ data, shape }: Values): Required<Summary> {
  const values = Array.from(data);
  const half = Math.floor(values.length / 2);
  return {
    shape,
    numel: values.length,
    sum: values.reduce((total, value) => total + value, 0),
    abs_sum: values.reduce((total, value) => total + Math.abs(value), 0),
    max: values.reduce((most, value) => Math.max(most, value)),
    min: values.reduce((least, value) => Math.min(least, value)),
    first8: values.slice(0, 8),
    mid4: values.slice(half, half + 4),
    last4: values.slice(-4),
  };
}

/** The fields in which `actual` differs from the summary at a path, with the differences. */
export function departures(actual: Values, ...keys: string[]): string[] {
  const expected = golden<Summary>(...keys);
  const ours = summaryOf(actual);
  const limits: Record<string, number> = { numel: 0, shape: 0 };
  limits.sum = limits.abs_sum = VALUE_TOLERANCE * Math.sqrt(expected.numel);
  return Object.entries(expected).flatMap(([field, value]) => {
    const [a, b] = [ours[field as keyof Summary], value].map((side) => [side].flat() as number[]);
    const largest =
      a!.length === b!.length
        ? Math.max(...a!.map((x, i) => Math.abs(x - b![i]!)))
        : Number.POSITIVE_INFINITY;
    return largest <= (limits[field] ?? VALUE_TOLERANCE)
      ? []
      : [`${field} is off by ${largest.toExponential(1)}`];
  });
}

/** Expects `actual` to agree with the summary at a path in every field. */
export function expectSummary(actual: Values, ...keys: string[]): void {
  expect(departures(actual, ...keys), pathOf(keys)).to.deep.equal([]);
}

/** Expects every number of a list at a path, within `tolerance`. */
export function expectNumbers(
  actual: ArrayLike<number>,
  tolerance: number,
  ...keys: string[]
): void {
  const expected = golden<number[]>(...keys);
  expect(actual.length, `length of ${pathOf(keys)}`).to.equal(expected.length);
  for (const [i, value] of expected.entries())
    expect(actual[i], `${pathOf(keys)} [${i}]`).to.be.closeTo(value, tolerance);
}
