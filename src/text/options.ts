/** Checks objects of options, so that a wrong name or value is refused instead of ignored. */
import { camelCase } from './cases.ts';
import { checkValue, type Kind } from './kinds.ts';
import { shown } from './messages.ts';
import { didYouMean } from './nearest.ts';

export { type Kind, kinds } from './kinds.ts';

/** Options with the values that each of them takes. */
export type Kinds<Options> = { readonly [Name in keyof Required<Options>]: Kind };

/** Other names that people try, with the right option for the value that they pass. */
export type Aliases = Readonly<Record<string, (value: unknown) => string>>;

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
  for (const [name, kind] of Object.entries<Kind>(table))
    checkValue(name, Reflect.get(given, name), { ...kind, optional: true });
}

/** @throws Error if an argument of the function `what` is not of its kind. */
export function checkArgument(
  what: string,
  value: unknown,
  { is, test }: Pick<Extract<Kind, { is: string }>, 'is' | 'test'>,
  place: 'first' | 'second' = 'first',
): void {
  if (!test(value))
    throw new Error(`\`${what}\` takes ${is} as its ${place} argument, not ${shown(value)}.`);
}

/** @throws Error if the first argument of `what` is not the text of a path or a name. */
export const checkPath = (what: string, path: unknown): void =>
  checkArgument(what, path, {
    is: 'a path or name',
    test: (value) => typeof value === 'string' && value !== '',
  });

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
