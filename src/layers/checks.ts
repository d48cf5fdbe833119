/** What the arguments of layers have to be, alone and together. */
import { count, type Kind, number, whole } from '../text/kinds.ts';
import { joined } from '../text/messages.ts';

/** The kinds of a layer's arguments, by name: the table that a class has as `static checks`. */
export type Checks = Readonly<Record<string, Kind>>;

const isWhole = whole(0).test;
const isPair = (value: unknown, fits: (entry: unknown) => boolean) =>
  Array.isArray(value) && value.length === 2 && value.every(fits);

/** The most layers of a block; those of published models have up to 32. */
const MOST_LAYERS = 128;
/** A number of layers. */
export const layerCount = whole(1, MOST_LAYERS);
/** A number of layers, or none. */
export const layerCountOrNone = whole(0, MOST_LAYERS);
/** What is added to a variance. */
export const epsilon = number({ min: 0 });
/** An odd number of things. */
export const oddCount = {
  is: 'an odd whole number of at least 1',
  test: (value) => isWhole(value) && (value as number) % 2 === 1,
} satisfies Kind;
/** Zeros around a picture. */
export const paddingOfPicture = {
  is: 'a whole number of at least 0, or [[top, bottom], [left, right]] of such',
  test: (value) => isWhole(value) || isPair(value, (side) => isPair(side, isWhole)),
} satisfies Kind;
/** The size of a picture, as a call argument. */
export const pictureSize = {
  is: '[height, width], two whole numbers of at least 1',
  test: (value) => isPair(value, count.test),
} satisfies Kind;

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
  if (by) return `${what}${quoted(by, '')} but they are ${joined([...values, ...divisors])}.`;
  const are = values.length === 1 ? `is ${sum}` : `they are ${joined(values)}`;
  return `${what}${NORM_GROUPS}, the groups of its normalisation, but ${are}.`;
}

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
