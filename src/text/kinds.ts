/**
 * The kinds of values that users and files set: options of functions, arguments of layers, keys of
 * configs.
 */
import { either, shown } from './messages.ts';
import { quoted } from './printable.ts';

/** The values that an option, an argument or a key takes, and whether it may have none. */
export type Kind = { optional?: boolean } & (
  | {
      /** One of these. */
      oneOf: readonly (string | number)[];
    }
  | {
      /** The values in words: `a finite number`. */
      is: string;
      test: (value: unknown) => boolean;
      /** What a wrong value is, if more is to be said than that it is not `is`: `more than 64`. */
      but?: (value: unknown) => string | undefined;
      /** What to do instead of passing a wrong value, as a sentence. */
      hint?: (value: unknown) => string | undefined;
    }
  | {
      /** Lists of `min` to `max` values of a kind. */
      listOf: Kind;
      min: number;
      max: number;
      /** Whether one such value may stand without a list. */
      orOne?: boolean;
    }
);

/** What is wrong with a value. */
interface Fault {
  /** Where it is in the value: `[1]` is the second entry of a list. */
  at: string;
  value: unknown;
  /** What it has to be. */
  is: string;
  /** What is wrong, in words that follow its name: ` is 65, more than 64`. */
  wrong: string;
  hint?: string;
}

/** The first fault of a value. */
function faultOf(kind: Kind, value: unknown): Fault | undefined {
  if (kind.optional && isNothing(value)) return undefined;
  if ('listOf' in kind) return faultOfList(kind, value);
  if ('oneOf' in kind)
    return kind.oneOf.includes(value as string)
      ? undefined
      : fault(value, `one of ${kind.oneOf.join(', ')}`, `not ${either(kind.oneOf)}`);
  if (kind.test(value)) return undefined;
  return { ...fault(value, kind.is, kind.but?.(value)), hint: kind.hint?.(value) };
}

const fault = (value: unknown, is: string, but = `not ${is}`): Fault => ({
  ...{ at: '', value, is, wrong: ` is ${quoted(value)}, ${but}` },
});

function faultOfList(
  { listOf, min, max, orOne }: Extract<Kind, { listOf: Kind }>,
  value: unknown,
): Fault | undefined {
  if (orOne && !Array.isArray(value)) return faultOf(listOf, value);
  const is = `a list of ${Number.isFinite(max) ? range({ min, max }) : 'one or more'} entries`;
  if (!Array.isArray(value)) return fault(value, is, 'not a list');
  const has = ` has ${value.length} ${value.length === 1 ? 'entry' : 'entries'}`;
  if (value.length > max) return { at: '', value, is, wrong: `${has}, more than ${max}` };
  if (value.length < min) return { at: '', value, is, wrong: `${has}, fewer than ${min}` };
  for (const [i, entry] of value.entries()) {
    const found = faultOf(listOf, entry);
    if (found) return { ...found, at: `[${i}]${found.at}` };
  }
  return undefined;
}

const isNothing = (value: unknown) => value === undefined || value === null;

/** The sentence on a value that is not of its kind. */
export function wrongValue(name: string, value: unknown, kind: Kind): string | undefined {
  const fault = faultOf(kind, value);
  if (!fault) return undefined;
  const word = fault.is.startsWith('one of') && typeof fault.value === 'string' && fault.value;
  const hint = fault.hint ? ` ${fault.hint}` : '';
  return `\`${name}${fault.at}\` has to be ${fault.is} but is ${word || shown(fault.value)}.${hint}`;
}

/** @throws Error if a value is not of its kind. */
export function checkValue(name: string, value: unknown, kind: Kind): void {
  const wrong = wrongValue(name, value, kind);
  if (wrong) throw new Error(wrong);
}

/**
 * What is wrong with the values of a file, as the beginning of a sentence: `layers_per_block is
 * 65, more than 64`. Keys without a kind are passed over, and so are null and undefined, which
 * stand for defaults.
 */
export function firstProblem(
  kinds: Readonly<Record<string, Kind>>,
  values: Readonly<Record<string, unknown>>,
): string | undefined {
  for (const [name, kind] of Object.entries(kinds)) {
    const fault = isNothing(values[name]) ? undefined : faultOf(kind, values[name]);
    if (fault) return name + fault.at + fault.wrong;
  }
  return undefined;
}

/** Limits of a number. */
interface Limits {
  min?: number;
  max?: number;
  /** A limit that is not reached. */
  above?: number;
}

function range({ min, max = Number.POSITIVE_INFINITY, above }: Limits): string {
  const most = Number.isFinite(max) ? max : undefined;
  if (min !== undefined && most !== undefined) return min === most ? `${min}` : `${min} to ${most}`;
  if (above !== undefined) return `above ${above}${most === undefined ? '' : ` up to ${most}`}`;
  return min === undefined ? '' : `at least ${min}`;
}

function beyond(value: number, { min, max, above }: Limits): string | undefined {
  if (max !== undefined && value > max) return `more than ${max}`;
  if (min !== undefined && value < min) return `less than ${min}`;
  return above !== undefined && !(value > above) ? `not above ${above}` : undefined;
}

function numberKind(noun: string, limits: Limits, but: (value: unknown) => string | undefined) {
  const words = range(limits);
  const link = words.startsWith('at') ? ' of ' : /^\d|^-/.test(words) ? ' from ' : ' ';
  return { is: words ? noun + link + words : noun, test: (value: unknown) => !but(value), but };
}

/** Finite numbers within limits. */
export const number = (limits: Limits = {}): Kind =>
  numberKind(Object.keys(limits).length > 0 ? 'a number' : 'a finite number', limits, (value) =>
    Number.isFinite(value) ? beyond(value as number, limits) : 'not a finite number',
  );

/** Whole numbers within limits, divisible by `divisor`. */
export function whole(min: number, max?: number, divisor = 1) {
  const noun = divisor === 1 ? 'a whole number' : `a multiple of ${divisor}`;
  return numberKind(noun, { min, max }, (value) => {
    if (!Number.isSafeInteger(value)) return 'not a whole number';
    const remainder = (value as number) % divisor;
    return (
      beyond(value as number, { min, max }) ??
      (remainder ? `not divisible by ${divisor}` : undefined)
    );
  });
}

/** One of some values. */
export const oneOf = (...values: readonly (string | number)[]): Kind => ({ oneOf: values });

/** Lists of `min` to `max` values. */
export const listOf = (kind: Kind, min = 1, max = Number.POSITIVE_INFINITY): Kind => ({
  ...{ listOf: kind, min, max },
});

/** One value, or a list of at most `max`. */
export const oneOrList = (kind: Kind, max?: number): Kind => ({
  ...(listOf(kind, 1, max) as Extract<Kind, { listOf: Kind }>),
  orOne: true,
});

/** What may be left out, or be null. */
export const optional = (kind: Kind): Kind => ({ ...kind, optional: true });

const hasMethods = (value: unknown, ...names: string[]) =>
  typeof value === 'object' &&
  value !== null &&
  names.every((name) => typeof Reflect.get(value, name) === 'function');

const isObject = (value: unknown) => typeof value === 'object' && value !== null;
const hasValues = (value: unknown) =>
  isObject(value) &&
  ArrayBuffer.isView(Reflect.get(value as object, 'data')) &&
  Array.isArray(Reflect.get(value as object, 'shape'));
const isPicture = (value: unknown) =>
  isObject(value) && ['data', 'width', 'height'].every((name) => name in (value as object));

/** A number of things. */
export const count = whole(1);
/** True or false. */
export const flag = {
  is: 'true or false',
  test: (value) => typeof value === 'boolean',
} satisfies Kind;
/** A string. */
export const text = { is: 'a string', test: (value) => typeof value === 'string' } satisfies Kind;

/** Kinds of values that many options take. */
export const kinds = {
  ...{ any: { is: 'anything', test: () => true }, count, flag, text, number: number() },
  limit: { is: 'a number', test: (value) => typeof value === 'number' && !Number.isNaN(value) },
  positive: { is: 'a number above 0', test: (value) => typeof value === 'number' && value > 0 },
  list: {
    is: 'a list',
    test: (value) => Array.isArray(value) || (ArrayBuffer.isView(value) && 'length' in value),
  },
  object: {
    is: 'an object',
    test: (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
  },
  values: { is: 'values with their shape', test: hasValues },
  pictures: {
    is: 'a list of pictures, or values with their shape,',
    test: (value) => hasValues(value) || (Array.isArray(value) && value.every(isPicture)),
  },
  listener: { is: 'a function', test: (value) => typeof value === 'function' },
  signal: {
    is: 'an AbortSignal',
    test: (value) => hasMethods(value, 'addEventListener', 'throwIfAborted'),
    hint: (value) =>
      value instanceof AbortController ? "Pass the controller's `signal`." : undefined,
  },
} satisfies Record<string, Kind>;
