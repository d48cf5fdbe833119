/**
 * Tables of options. One entry says everything about an option: its help, the values that it takes,
 * its default, and what it is for. Parsing, types, help and completion follow from it.
 */
import { kebabCase } from '../../text/cases.ts';
import type { OtherValues, Reader } from './values.ts';

/** One option of a command. */
export interface Option {
  /**
   * The name of its value in the help, such as `N`. An option without one and without choices is a
   * switch.
   */
  value?: string;
  /**
   * Sentences that say what it does, with unit and range. `group` replaces `{range}` in them by
   * that of `read`, and the help adds the default.
   */
  help: string;
  /** It may be passed several times. */
  many?: boolean;
  /** Its one-letter form. */
  short?: string;
  /** Its name without dashes. Default: its key, in kebab case. */
  flag?: string;
  /** Other names for it. */
  aliases?: readonly string[];
  /** The values that it takes, which the help shows in place of `value`. */
  choices?: readonly string[];
  /** Values that people try instead of the choices. */
  otherValues?: OtherValues;
  /** Endings of the files that it takes, `/` for folders. */
  files?: readonly string[];
  /** It reads what is there, so that a file of another kind is refused at once. */
  reads?: true;
  /** Reads the text of a value. */
  read?: Reader<unknown>;
  /** The text of a value that `String` does not write as one would pass it. */
  text?: (value: never) => string;
  /** Its value where it is passed without one of `files`. */
  alone?: string;
  /** Its value where it is not passed. */
  default?: unknown;
  /** The command needs it: a few words that say what it is. */
  required?: string;
  /** The heading that help shows it under. Default: Options. */
  heading?: string;
  /** Its purpose, for commands that sort their options by it. */
  part?: string;
}

/** Options by the names that code has for them. */
export type Options = Record<string, Option>;

/** The options that every command has. */
export const commonOptions: Options = {
  debug: { help: 'Show where an error comes from.' },
  help: { short: 'h', help: 'Show this text.' },
};

type Read<O> = O extends { read: Reader<infer T> }
  ? T
  : O extends { choices: readonly (infer C)[] }
    ? C
    : string;

/** The value of an option. */
export type ValueOf<O> = O extends { value: string } | { choices: readonly string[] }
  ? O extends { many: true }
    ? Read<O>[]
    : O extends { default: unknown } | { required: string }
      ? Read<O>
      : Read<O> | undefined
  : O extends { default: undefined }
    ? true | undefined
    : boolean;

type Optional<O> = { [K in keyof O]: undefined extends ValueOf<O[K]> ? K : never }[keyof O];

/**
 * The values of a table of options. An option that is not passed and has no default is undefined.
 */
export type Values<O> = { [K in Exclude<keyof O, Optional<O>>]: ValueOf<O[K]> } & {
  [K in Optional<O>]?: ValueOf<O[K]>;
};

/** The values of the options of some parts. */
export type PartOf<O, P extends string> = Values<{
  [K in keyof O as O[K] extends { part: P } ? K : never]: O[K];
}>;

/** Puts options under a heading of the help, sets their part, and completes their help. */
export function group<const O extends Options, const P extends string>(
  heading: string,
  part: P,
  options: O,
): { [K in keyof O]: O[K] & { heading: string; part: P } } {
  const entries = Object.entries<Option>(options).map(([name, option]) => {
    const help = option.help.replace('{range}', option.read?.range ?? '');
    return [name, { ...option, help, heading, part }];
  });
  return Object.fromEntries(entries);
}

/** Some of the options of a table. */
export const pick = <O extends object, K extends keyof O>(table: O, ...names: K[]): Pick<O, K> =>
  Object.fromEntries(names.map((name) => [name, table[name]])) as Pick<O, K>;

/** Picks the values of the options of some parts. */
export function partOf<O extends Options, P extends string>(
  values: Partial<Values<NoInfer<O>>>,
  options: O,
  ...parts: P[]
): PartOf<O, P> {
  const wanted: readonly (string | undefined)[] = parts;
  const found = Object.entries(values).filter(([name]) => wanted.includes(options[name]?.part));
  return Object.fromEntries(found) as PartOf<O, P>;
}

/** The name of an option on the command line, without dashes. */
export const flagOf = (name: string, { flag }: Option): string => flag ?? kebabCase(name);

/** What stands for the value of an option in texts, such as `N` or `yes|no`; none of a switch. */
export const placeholderOf = ({ choices, value }: Option): string | undefined =>
  choices?.join('|') ?? value;
