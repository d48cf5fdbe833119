/** The frame of a subcommand: its table of options, its help, and its run. */
import { Command } from 'commander';
import { either } from '../../text/messages.ts';
import { addOptions, readValues } from './arguments.ts';
import { checkFiles } from './checkFiles.ts';
import { UsageError } from './errors.ts';
import { formatHelp } from './help.ts';
import { commonOptions, type Option, type Options, type Values } from './options.ts';

/** The arguments of a subcommand that are not options. `choices` and `files` are for completion. */
export interface Operands extends Pick<Option, 'choices' | 'files'> {
  /** Their description, as in "svd convert takes ...". */
  takes: string;
  /** Whether it takes these. Default: it takes any. */
  valid?(operands: string[]): boolean;
}

/** A subcommand. */
export interface Subcommand {
  name: string;
  /** Lines that show how to call it, without `svd` and its name. */
  usage: string[];
  /** Paragraphs that say what it does. */
  about: string[];
  /** Complete command lines, one line or several each. */
  examples?: string[];
  options: Options;
  /** Options that people try and that it does not have, by name, each with the way out. */
  otherNames?: Readonly<Record<string, string>>;
  /** The arguments that are not options. Default: it takes none. */
  operands?: Operands;
  /**
   * Does the work with the values of the options. `given` says whether one was passed.
   * @returns The exit code.
   * @throws UsageError if options do not go together.
   */
  run(values: object, operands: string[], given: (name: string) => boolean): Promise<number>;
}

/** Subcommands by name, each with a line for the help of `svd`. They are loaded when needed. */
export type Subcommands = Record<string, { about: string; load: () => Promise<Subcommand> }>;

/** A subcommand whose `run` is called with the types that its table of options says. */
export const subcommand = <const O extends Options>(
  definition: Omit<Subcommand, 'options' | 'run'> & {
    options: O;
    run(values: Values<O>, operands: string[], given: (name: string) => boolean): Promise<number>;
  },
): Subcommand => definition;

/** The switch that all commands which print a result have. */
export const jsonOption = (holds = '') => ({
  json: { help: `Print one line of JSON${holds}.` },
});

/** The switch of commands that show their progress. */
export const quietOption = {
  quiet: { help: 'No progress and no notes on standard error, only errors.' },
};

const noOperands: Operands = {
  takes: 'only options',
  valid: (operands) => operands.length === 0,
};

/** One operand, out of `choices`. */
export const oneOperand = (choices: readonly string[]): Operands => ({
  choices,
  takes: either(choices),
  valid: (operands) => operands.length === 1 && choices.includes(operands[0]),
});

/** Options by the headings that help shows them under. */
export function groupsOf(options: Options): Record<string, Options> {
  const groups: Record<string, Options> = {};
  for (const [key, option] of Object.entries(options)) {
    const heading = option.heading ?? 'Options';
    groups[heading] = { ...groups[heading], [key]: option };
  }
  return groups;
}

/** The help text of a subcommand. */
export function helpOf({ name, usage, about, options, examples }: Subcommand): string {
  const groups = groupsOf(options);
  const last = Object.keys(groups).at(-1) ?? 'Options';
  groups[last] = { ...groups[last], ...commonOptions };
  const calls = usage.map((line) => `svd ${name} ${line}`);
  return formatHelp({ usage: calls, about, groups, examples });
}

/** The subcommand for commander. `done` is called with its exit code. */
export function commandOf(definition: Subcommand, done: (code: number) => void): Command {
  const { name, options, otherNames, run } = definition;
  const { takes, valid = () => true } = definition.operands ?? noOperands;
  const command = new Command(name).configureHelp({ formatHelp: () => `${helpOf(definition)}\n` });
  const given = addOptions(command, options, otherNames);
  return command.action(async () => {
    const { positionals } = given();
    if (!valid(positionals)) {
      const isModel = 'model' in options && positionals.length === 1 && !given().has('model');
      const wayOut = isModel ? `Use --model ${positionals[0]}.` : `See svd ${name} --help.`;
      throw new UsageError(
        `svd ${name} takes ${takes} but is given "${positionals.join(' ')}". ${wayOut}`,
      );
    }
    const values = readValues(given(), options, name);
    await checkFiles(given(), options);
    done(await run(values, positionals, given().has));
  });
}
