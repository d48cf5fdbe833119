/** Reads arguments against a table of options, by commander. */
import { Command, type CommanderError, Option as CommanderOption } from 'commander';
import { hasEnding } from '../../text/endings.ts';
import { either } from '../../text/messages.ts';
import { didYouMean } from '../../text/nearest.ts';
import { UsageError } from './errors.ts';
import {
  commonOptions,
  flagOf,
  type Option,
  type Options,
  placeholderOf,
  type Values,
} from './options.ts';
import { oneOf } from './values.ts';

export type { Options };

/** Arguments as they were passed. */
export interface Arguments {
  /** Whether an option was passed. */
  has(name: string): boolean;
  /** An option's value, or undefined if it was not passed. */
  value(name: string): string | undefined;
  /** All values of an option that may be passed several times. */
  values(name: string): string[];
  /** The arguments that are not options. */
  positionals: string[];
}

/** Options with these texts, as arguments. */
export const argumentsOf = (texts: ReadonlyMap<string, string[]>): Arguments => ({
  has: (name) => texts.has(name),
  value: (name) => texts.get(name)?.[0],
  values: (name) => texts.get(name) ?? [],
  positionals: [],
});

/** The names of an option on the command line, with their dashes: `-o`, `--output`. */
const flagsOf = (name: string, option: Option): string[] => [
  ...(option.short === undefined ? [] : [`-${option.short}`]),
  ...[flagOf(name, option), ...(option.aliases ?? [])].map((flag) => `--${flag}`),
];

/**
 * Adds options to a command of commander.
 * @param otherNames Options that people try and that do not exist, each with the way out.
 * @returns A function to call once the command has been parsed, for what it was passed. It throws
 * UsageError if a value is missing or an option is passed twice. The parsing itself throws
 * UsageError for an unknown option and for a switch with a value.
 */
export function addOptions(
  command: Command,
  options: Options,
  otherNames: Readonly<Record<string, string>> = {},
): () => Arguments {
  const given = new Map<string, string[]>();
  const flags = new Set(
    Object.entries({ ...options, ...commonOptions }).map(([name, option]) => flagOf(name, option)),
  );
  command
    .argument('[arguments...]')
    .configureOutput({ outputError: () => {} })
    .exitOverride((error) => {
      throw error.code === 'commander.unknownOption'
        ? unknownOption(error, flags, otherNames)
        : error;
    });
  for (const [name, option] of Object.entries(options)) {
    // Optional for commander, so that it does not take the next option for the value.
    const value = placeholderOf(option) === undefined ? '' : ' [value]';
    const collect = (text: string) => given.set(name, [...(given.get(name) ?? []), text]);
    for (const flag of flagsOf(name, option))
      command.addOption(new CommanderOption(`${flag}${value}`).preset('').argParser(collect));
  }
  return () => {
    for (const [name, texts] of given) {
      const { many } = options[name];
      const value = placeholderOf(options[name]);
      if (value === undefined) continue;
      const flag = flagOf(name, options[name]);
      if (texts.includes('')) throw new UsageError(`--${flag} needs a value: --${flag} ${value}.`);
      if (texts.length > 1 && !many)
        throw new UsageError(`--${flag} is given twice. Pass it once.`);
    }
    return {
      has: (name) => given.has(name),
      value: (name) => given.get(name)?.[0],
      values: (name) => given.get(name) ?? [],
      positionals: command.args,
    };
  };
}

/**
 * Joins each option and its value to one argument, `--name=value`, so that commander takes a value
 * that begins with a minus, such as a negative number.
 * @throws UsageError if a value is missing, a negative number stands where no option takes it, or
 * what follows an option whose value can be left out is perhaps that value.
 */
export function joinValues(args: string[], options: Options): string[] {
  const taking = new Map<string, [flag: string, value: string, Option]>();
  for (const [name, option] of Object.entries(options)) {
    const value = placeholderOf(option);
    if (value === undefined) continue;
    for (const flag of flagsOf(name, option))
      taking.set(flag, [flagOf(name, option), value, option]);
  }
  const joined: string[] = [];
  let doubtful: [flag: string, word: string, files: readonly string[]] | undefined;
  for (let i = 0; i < args.length; i++) {
    if (args[i] === '--') return [...joined, ...args.slice(i)];
    const option = taking.get(args[i]);
    if (option) {
      const [flag, value, { alone, files = [] }] = option;
      if (alone !== undefined && !hasEnding(args[i + 1] ?? '', ...files)) {
        joined.push(`--${flag}=${alone}`);
        if (/^[^-]/.test(args[i + 1] ?? '')) doubtful = [flag, args[i + 1], files];
        continue;
      }
      const text = args[++i];
      // What looks like the next option is one.
      if (text === undefined || text === '' || /^-[^\d.]/.test(text))
        throw new UsageError(`--${flag} needs a value: --${flag} ${value}.`);
      joined.push(`--${flag}=${text}`);
    } else if (/^-[\d.]/.test(args[i])) {
      throw new UsageError(`there is no option ${args[i]}.`);
    } else {
      joined.push(args[i]);
    }
  }
  if (doubtful && joined.filter((word) => !word.startsWith('-')).length > 1) {
    const [flag, word, files] = doubtful;
    throw new UsageError(
      `--${flag} takes a ${either(files)} file but is followed by "${word}". Name such a file, or ` +
        `pass --${flag} last.`,
    );
  }
  return joined;
}

/**
 * Splits `args` into options and positionals.
 * @throws UsageError if an option is unknown, has no value, is a switch with a value, or is passed
 * twice.
 */
export function readArguments(args: string[], options: Options): Arguments {
  const command = new Command().helpOption(false);
  const given = addOptions(command, options);
  command.parse(joinValues(args, options), { from: 'user' });
  return given();
}

/**
 * Reads the values of all options.
 * @throws UsageError if a value is not allowed, or a required option of `command` is missing.
 */
export function readValues<O extends Options>(
  given: Arguments,
  options: O,
  command: string,
): Values<O> {
  const values = Object.entries(options).map(([name, option]) => {
    const flag = flagOf(name, option);
    const { choices, otherValues, read = (text: string) => text, required, many } = option;
    const value = placeholderOf(option);
    if (value === undefined) {
      return [name, given.has(name) || ('default' in option ? option.default : false)];
    }
    const all = given.values(name).map((text) => {
      return read(choices ? oneOf(choices, otherValues)(text, flag) : text, flag);
    });
    if (many) return [name, all];
    if (all.length === 0 && required !== undefined)
      throw new UsageError(
        `--${flag} ${value} is required: ${required}. See svd ${command} --help.`,
      );
    return [name, all.length > 0 ? all[0] : option.default];
  });
  return Object.fromEntries(values);
}

function unknownOption(
  { message }: CommanderError,
  flags: Set<string>,
  otherNames: Readonly<Record<string, string>>,
): UsageError {
  const [, arg] = /'(.*)'/s.exec(message) as string[];
  const [, dashes, name, value] = /^(--?)([^=]*)=?(.*)$/s.exec(arg) as string[];
  if (dashes === '--' && flags.has(name))
    return new UsageError(`--${name} takes no value but is given "${value}".`);
  const hint = Object.hasOwn(otherNames, name)
    ? ` ${otherNames[name]}`
    : didYouMean(name, [...flags], (found) => `--${found}`);
  return new UsageError(`there is no option ${dashes}${name}.${hint}`);
}
