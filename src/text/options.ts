/** Checks objects of options, so that a wrong name or value is refused instead of ignored. */
import { camelCase } from './cases.ts';
import { checkOneOf, shown } from './messages.ts';
import { didYouMean } from './nearest.ts';

/** The values that an option takes: one of several names, or all that pass a test. */
export type Kind =
  | { oneOf: readonly string[] }
  | {
      /** The values in words: `a finite number`. */
      is: string;
      test: (value: unknown) => boolean;
      /** What to do instead of passing a wrong value, as a sentence. */
      hint?: (value: unknown) => string | undefined;
    };

/** Options with the values that each of them takes. */
export type Kinds<Options> = { readonly [Name in keyof Required<Options>]: Kind };

/** Other names that people try, with the right option for the value that they pass. */
export type Aliases = Readonly<Record<string, (value: unknown) => string>>;

const isCount = (value: unknown) => Number.isInteger(value) && (value as number) >= 1;
const hasMethods = (value: unknown, ...names: string[]) =>
  typeof value === 'object' &&
  value !== null &&
  names.every((name) => typeof Reflect.get(value, name) === 'function');

/** Values that many options take. */
export const kinds = {
  any: { is: 'anything', test: () => true },
  count: { is: 'a whole number of at least 1', test: isCount },
  number: { is: 'a finite number', test: Number.isFinite },
  limit: { is: 'a number', test: (value) => typeof value === 'number' && !Number.isNaN(value) },
  positive: {
    is: 'a number above 0',
    test: (value) => typeof value === 'number' && value > 0,
  },
  flag: { is: 'true or false', test: (value) => typeof value === 'boolean' },
  text: { is: 'a string', test: (value) => typeof value === 'string' },
  list: {
    is: 'a list',
    test: (value) => Array.isArray(value) || (ArrayBuffer.isView(value) && 'length' in value),
  },
  object: {
    is: 'an object',
    test: (value) => typeof value === 'object' && !Array.isArray(value),
  },
  listener: { is: 'a function', test: (value) => typeof value === 'function' },
  signal: {
    is: 'an AbortSignal',
    test: (value) => hasMethods(value, 'addEventListener', 'throwIfAborted'),
    hint: (value) =>
      value instanceof AbortController ? "Pass the controller's `signal`." : undefined,
  },
} satisfies Record<string, Kind>;

/**
 * @param what What takes the options, as its user calls it: `generate`.
 * @param known The names that there are.
 * @throws Error if `given` is not an object, or has an option of another name. It says the right
 * name, or all of them.
 */
export function checkOptions(
  what: string,
  given: object,
  known: readonly string[],
  aliases: Aliases = {},
): void {
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw new Error(`The options of \`${what}\` have to be an object but are ${shown(given)}.`);
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || known.includes(name)) continue;
    throw new Error(
      `\`${what}\` has no option \`${name}\`.${rightName(name, value, known, aliases)}`,
    );
  }
}

/**
 * As `checkOptions`, and checks the kind of each value. Options that are undefined or null are not
 * given.
 * @throws Error if a name or value is wrong.
 */
export function checkOptionValues<Options extends object>(
  what: string,
  given: Options,
  table: Kinds<Options>,
  aliases?: Aliases,
): void {
  checkOptions(what, given, Object.keys(table), aliases);
  for (const [name, kind] of Object.entries<Kind>(table)) {
    const value: unknown = Reflect.get(given, name);
    if (value === undefined || value === null) continue;
    if ('oneOf' in kind) checkOneOf(name, value, kind.oneOf);
    else if (!kind.test(value)) {
      const hint = kind.hint?.(value);
      throw new Error(
        `\`${name}\` has to be ${kind.is} but is ${shown(value)}.${hint ? ` ${hint}` : ''}`,
      );
    }
  }
}

/** @throws Error if the first argument of `what` is not the text of a path or a name. */
export function checkPath(what: string, path: unknown): void {
  if (typeof path !== 'string' || path === '')
    throw new Error(`\`${what}\` takes a path or name as its first argument, not ${shown(path)}.`);
}

/** The options of `given` that a table has. */
export function pickOptions<Name extends string, T extends object>(
  given: T,
  table: Readonly<Record<Name, Kind>>,
): Pick<T, Name & keyof T> {
  return Object.fromEntries(
    Object.entries(given).filter(([name]) => Object.hasOwn(table, name)),
  ) as Pick<T, Name & keyof T>;
}

function rightName(
  name: string,
  value: unknown,
  known: readonly string[],
  aliases: Aliases,
): string {
  const camel = camelCase(name.replaceAll('-', '_'));
  if (Object.hasOwn(aliases, camel)) return ` ${aliases[camel](value)}`;
  const same = known.find((one) => one.toLowerCase() === camel.toLowerCase());
  const near = same ? ` Use \`${same}\`.` : didYouMean(camel, known, (found) => `\`${found}\``);
  return near || ` Its options are ${known.map((one) => `\`${one}\``).join(', ')}.`;
}
