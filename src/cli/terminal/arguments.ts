/** Reads a command's arguments against its table of options, on top of Node's `parseArgs`. */
import { parseArgs } from 'node:util';
import { didYouMean } from '../../text/nearest.ts';
import { UsageError } from './errors.ts';

/** One option of a command. */
export interface Option {
  /** How its value is called in the help text, such as `N`. An option without one is a switch. */
  value?: string;
  /** What it does, with unit, range and default: one or more sentences. */
  help: string;
  /** May be given several times. */
  many?: boolean;
  /** Its one-letter form. */
  short?: string;
}

/** Options by name, without dashes. */
export type Options = Record<string, Option>;

/** Arguments as they were given. */
export interface Arguments {
  /** Whether a switch is on. */
  has(name: string): boolean;
  /** An option's value, or undefined if it was not given. */
  value(name: string): string | undefined;
  /** All values of an option that may be given several times. */
  values(name: string): string[];
  /** What is no option. */
  positionals: string[];
}

/**
 * Splits `args` into options and positionals.
 * @throws UsageError for an unknown option, a missing value, a value given to a switch, and an
 * option given twice.
 */
export function readArguments(args: string[], options: Options): Arguments {
  const config = Object.fromEntries(
    Object.entries(options).map(([name, { value, short }]) => {
      const type: 'string' | 'boolean' = value === undefined ? 'boolean' : 'string';
      return [name, short === undefined ? { type } : { type, short }];
    }),
  );
  const { tokens, positionals } = parseArgs({
    args,
    options: config,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const given = new Map<string, string[]>();
  for (const token of tokens) {
    if (token.kind !== 'option') continue;
    const { name, rawName, value, inlineValue } = token;
    if (!Object.hasOwn(options, name)) {
      const hint = didYouMean(name, Object.keys(options), (found) => `--${found}`);
      throw new UsageError(`there is no option ${rawName}.${hint}`);
    }
    const option = options[name];
    const before = given.get(name);
    if (before !== undefined && option.value !== undefined && !option.many)
      throw new UsageError(`--${name} is given twice. Give it once.`);
    given.set(name, [
      ...(before ?? []),
      option.value === undefined
        ? withoutValue(name, value)
        : withValue(name, option.value, value, inlineValue),
    ]);
  }
  return {
    has: (name) => given.has(name),
    value: (name) => given.get(name)?.[0],
    values: (name) => given.get(name) ?? [],
    positionals,
  };
}

function withoutValue(name: string, value: string | undefined): string {
  if (value !== undefined)
    throw new UsageError(`--${name} takes no value but is given "${value}".`);
  return '';
}

function withValue(
  name: string,
  placeholder: string,
  value: string | undefined,
  inline: boolean | undefined,
): string {
  // After a space, what looks like the next option is one; a negative number is a value.
  const nextOption = !inline && value !== undefined && /^-[^\d.]/.test(value);
  if (value === undefined || value === '' || nextOption)
    throw new UsageError(`--${name} needs a value: --${name} ${placeholder}.`);
  return value;
}
