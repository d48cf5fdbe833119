/** What the arguments of layers have to be, said in the words of the layer that is given them. */
import { notOneOf, shown as shownWord } from '../text/messages.ts';

/** A check of one argument. */
export interface Check {
  /** Returns the sentence that says what is wrong with a value; undefined if nothing is. */
  (name: string, value: unknown): string | undefined;
  /** The values that there are, if these are few. */
  allowed?: readonly (string | number)[];
}

/** The checks of a layer's arguments, by name: the table that a class has as `static checks`. */
export type Checks = Readonly<Record<string, Check>>;

const shown = (value: unknown): string =>
  Array.isArray(value) ? `[${value.map(shown).join(',')}]` : shownWord(value);

const mustBe =
  (what: string, fits: (value: unknown) => boolean): Check =>
  (name, value) =>
    fits(value) ? undefined : `\`${name}\` has to be ${what} but is ${shown(value)}.`;

const isWhole = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0;
const isPair = (value: unknown, fits: (entry: unknown) => boolean) =>
  Array.isArray(value) && value.length === 2 && value.every(fits);

/** A number of things: 1, 2, ... */
export const count = mustBe('a positive whole number', (value) => isWhole(value) && value !== 0);
/** 0, 1, 2, ... */
export const countOrNone = mustBe('a whole number from 0 on', isWhole);
/** An odd number of things. */
export const oddCount = mustBe(
  'an odd positive whole number',
  (value) => isWhole(value) && (value as number) % 2 === 1,
);
/** Any finite number. */
export const number = mustBe('a number', Number.isFinite);
/** A number above 0. */
export const positive = mustBe(
  'a number above 0',
  (value) => Number.isFinite(value) && (value as number) > 0,
);
/** What is added to a variance. */
export const epsilon = mustBe(
  'a number from 0 on',
  (value) => Number.isFinite(value) && (value as number) >= 0,
);
/** True or false. */
export const flag = mustBe('true or false', (value) => typeof value === 'boolean');
/** A name. */
const text = mustBe('a string', (value) => typeof value === 'string');
/** Zeros around a picture. */
export const paddingOfPicture = mustBe(
  'a whole number from 0 on, or [[top, bottom], [left, right]] of such',
  (value) => isWhole(value) || isPair(value, (side) => isPair(side, isWhole)),
);

/** The size of a picture, as a call argument. */
export const pictureSize = mustBe('[height, width], two positive whole numbers', (value) =>
  isPair(value, (length) => isWhole(length) && length !== 0),
);

/** One of some values. */
export function oneOf(allowed: readonly (string | number)[]): Check {
  const check = (name: string, value: unknown) =>
    allowed.includes(value as string) ? undefined : notOneOf(name, value, allowed.map(String));
  return Object.assign(check, { allowed });
}

/** A list of names. */
export const names = mustBe(
  'a list of names',
  (value) =>
    Array.isArray(value) && value.length > 0 && value.every((name) => typeof name === 'string'),
);

/** A list with something in it. */
export const listOf =
  (check: Check): Check =>
  (name, value) =>
    Array.isArray(value) && value.length > 0
      ? each(check)(name, value)
      : `\`${name}\` has to be a list of numbers but is ${shown(value)}.`;

/** One value, or a list. */
export const each =
  (check: Check): Check =>
  (name, value) =>
    Array.isArray(value)
      ? value.map((entry, i) => check(`${name}[${i}]`, entry)).find(Boolean)
      : check(name, value);

/** What may be left out, or `null`. */
export const optional = (check: Check): Check =>
  Object.assign(
    (name: string, value: unknown) =>
      value === undefined || value === null ? undefined : check(name, value),
    { allowed: check.allowed },
  );

/** The groups of normalisations whose layer has no argument for them. */
export const NORM_GROUPS = 32;

type Numbers = Readonly<Record<string, number>>;
const quoted = (numbers: Numbers, sign: string) =>
  Object.keys(numbers)
    .map((name) => `\`${name}\``)
    .join(sign);

/** The sentence for arguments whose sum another one, or the fixed groups, do not divide. */
export function indivisible(terms: Numbers, by?: Numbers): string | undefined {
  const values = Object.values(terms);
  const sum = values.reduce((a, b) => a + b);
  const divisors = Object.values(by ?? { NORM_GROUPS });
  if (sum % divisors[0] === 0) return undefined;
  const what = `${quoted(terms, ' + ')} has to be divisible by `;
  if (by) return `${what}${quoted(by, '')} but they are ${listed([...values, ...divisors])}.`;
  const are = values.length === 1 ? `is ${sum}` : `they are ${listed(values)}`;
  return `${what}${NORM_GROUPS}, the groups of its normalisation, but ${are}.`;
}

const listed = (values: number[]) => values.join(', ').replace(/, ([^,]*)$/, ' and $1');

/** The sentence for an argument that is not the product of others. */
export function notProduct(whole: Numbers, factors: Numbers): string | undefined {
  const [value] = Object.values(whole);
  const values = Object.values(factors);
  if (values.reduce((a, b) => a * b) === value) return undefined;
  return (
    `${quoted(whole, '')} has to be ${quoted(factors, ' * ')} but is ${value}, not ` +
    `${values.join(' * ')}.`
  );
}

/** The checks of arguments that every layer takes. */
const ofEveryLayer: Checks = {
  name: optional(text),
  trainable: optional(flag),
  numFrames: optional(count),
};

/** What is checked of a layer. */
interface Checked {
  constructor: unknown;
  args: { name?: string };
  config: object;
  misfits(): readonly (string | undefined)[];
}

/**
 * Compares the arguments of a layer, defaults filled in, with the table of its class.
 * @throws Error if one is wrong.
 */
export function checkValues(layer: Checked): void {
  const { className, checks } = layer.constructor as { className: string; checks: Checks };
  const config = layer.config as Record<string, unknown>;
  const wrong = Object.entries({ ...ofEveryLayer, ...checks }).map(([name, check]) =>
    check(name, config[name]),
  );
  // Only arguments that are right by themselves can be compared with each other.
  const fault = wrong.find(Boolean) ?? layer.misfits().find(Boolean);
  if (!fault) return;
  const { name } = layer.args;
  throw new Error(`${className}${name ? ` "${name}"` : ''}: ${fault}`);
}
