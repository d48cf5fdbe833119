#!/usr/bin/env node
/**
 * The `svd` command: finds the subcommand, and turns whatever goes wrong into one sentence and an
 * exit code.
 */
import { Command, CommanderError } from 'commander';
import { either, messageOf } from '../text/messages.ts';
import { didYouMean } from '../text/nearest.ts';
import { printableLines } from '../text/printable.ts';
import { joinName, secondWords, subcommands } from './subcommands.ts';
import { joinValues } from './terminal/arguments.ts';
import { commandOf, helpOf } from './terminal/command.ts';
import { exitCode, UsageError } from './terminal/errors.ts';
import { formatHelp } from './terminal/help.ts';
import { printNote } from './terminal/print.ts';
import { version } from './version.ts';

const help = formatHelp({
  usage: ['svd COMMAND [options]', 'svd help [COMMAND]'],
  about: ['Stable Video Diffusion for TensorFlow.js: one still picture in, a short video out.'],
  groups: {
    Commands: Object.fromEntries(
      Object.entries(subcommands).map(([name, { about }]) => [name, about]),
    ),
    Options: {
      help: { short: 'h', help: 'Show this text, or that of a command.' },
      version: { short: 'V', help: 'Show the version.' },
      debug: { help: 'Show where an error comes from; so does SVD_DEBUG=1 in the environment.' },
    },
    'Exit codes': { '0': 'done', '1': 'failed', '2': 'wrong usage', '130': 'interrupted' },
  },
  examples: ['svd generate rocket.jpg'],
});

/** The help of the commands that begin with a word. */
const groupHelp = (first: string): string =>
  formatHelp({
    usage: [`svd ${first} ${secondWords(first).join('|')} [options]`],
    about: [],
    groups: {
      Commands: Object.fromEntries(
        secondWords(first).map((second) => [second, subcommands[`${first} ${second}`].about]),
      ),
    },
  });

function unknownCommand(name?: string): UsageError {
  const names = Object.keys(subcommands);
  if (name === undefined)
    return new UsageError(`a command is required: ${names.join(', ')}. See svd --help.`);
  const second = secondWords(name);
  if (second.length > 0)
    return new UsageError(`svd ${name} takes ${either(second)}. See svd help ${name}.`);
  const hint = didYouMean(name, names, (found) => `svd ${found}`);
  return new UsageError(
    `there is no command "${name}".${hint} The commands are ${names.join(', ')}.`,
  );
}

/** `svd help [COMMAND]`. @returns The exit code. */
async function showHelp(words: string[]): Promise<number> {
  const [name, ...more] = joinName(words);
  if (more.length > 0)
    throw new UsageError(`svd help takes one command but is given "${[name, ...more].join(' ')}".`);
  if (name === undefined || name === 'help' || name.startsWith('-')) console.log(help);
  else if (secondWords(name).length > 0) console.log(groupHelp(name));
  else if (Object.hasOwn(subcommands, name)) console.log(helpOf(await subcommands[name].load()));
  else throw unknownCommand(name);
  return 0;
}

/** Runs the command that `args` name. @returns Its exit code. */
async function main(args: string[]): Promise<number> {
  if (args[0] === 'help') return showHelp(args.slice(1));
  const [name, ...rest] = joinName(args);
  if (secondWords(name).length > 0 && ['--help', '-h'].includes(rest[0])) return showHelp([name]);
  let words = args;
  let code = 0;
  const program = new Command('svd')
    .version(version)
    .helpCommand(false)
    .enablePositionalOptions()
    .configureHelp({ formatHelp: () => `${help}\n` })
    .configureOutput({ writeErr: () => {} })
    .exitOverride((error) => {
      throw error.exitCode === 0 ? error : unknownCommand(name);
    })
    .action(() => {
      throw unknownCommand(name);
    });
  if (name !== undefined && Object.hasOwn(subcommands, name)) {
    const definition = await subcommands[name].load();
    const done = (result: number) => {
      code = result;
    };
    program.addCommand(commandOf(definition, done));
    words = [name, ...joinValues(rest, definition.options)];
  }
  await program.parseAsync(words, { from: 'user' });
  return code;
}

function report(error: unknown, debug: boolean): number {
  if (error instanceof CommanderError) return error.exitCode; // help or version, already shown
  printNote(messageOf(error), 'error');
  if (debug && error instanceof Error) console.error(printableLines(error.stack ?? ''));
  return exitCode(error);
}

const args = process.argv.slice(2);
const debug = args.includes('--debug') || process.env.SVD_DEBUG === '1';
const code = await main(args.filter((arg) => arg !== '--debug')).catch((error: unknown) =>
  report(error, debug),
);
// Threads of a backend would keep the process alive. The empty write waits until all output has
// left.
process.stdout.write('', (error?: NodeJS.ErrnoException | null) => {
  // `console` says nothing of what a full disk refuses. A reader that has seen enough is no
  // failure.
  if (!error || code !== 0 || ['EPIPE', 'ERR_STREAM_DESTROYED'].includes(error.code ?? ''))
    process.exit(code);
  printNote(`the result could not be written to standard output (${error.message}).`, 'error');
  process.exit(1);
});
