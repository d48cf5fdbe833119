#!/usr/bin/env node
/**
 * The `svd` command: finds the subcommand, and turns whatever goes wrong into one sentence and an
 * exit code.
 */
import { messageOf } from '../text/messages.ts';
import { didYouMean } from '../text/nearest.ts';
import { exitCode, UsageError } from './terminal/errors.ts';
import { formatHelp } from './terminal/help.ts';
import { version } from './version.ts';

/** A subcommand. It is imported only when called, because the engine takes a second to start. */
interface Command {
  about: string;
  /** Gives the command's function from its arguments to an exit code. */
  load: () => Promise<{ run: (args: string[]) => Promise<number> }>;
}

const commands: Record<string, Command> = {
  generate: { about: 'Make a video from a picture.', load: () => import('./generate/command.ts') },
  download: {
    about: 'Bring a checkpoint from the hub into the cache.',
    load: () => import('./download.ts'),
  },
  convert: {
    about: 'Convert a checkpoint from one format to another.',
    load: () => import('../../converters/main.ts'),
  },
  info: {
    about: 'Tell what a checkpoint is made of, and what memory it needs.',
    load: () => import('./info.ts'),
  },
  verify: {
    about: 'Compare every stage with what diffusers computed.',
    load: () => import('./verify/command.ts'),
  },
  backends: {
    about: 'List the backends, and why one cannot be used.',
    load: () => import('./backends.ts'),
  },
  setup: {
    about: 'Set up the TensorFlow backend for CPU or GPU.',
    load: () => import('./setup.ts'),
  },
};

const help = formatHelp({
  usage: ['svd COMMAND [options]', 'svd COMMAND --help'],
  about: ['Stable Video Diffusion for TensorFlow.js: one still picture in, a short video out.'],
  groups: {
    Commands: Object.fromEntries(
      Object.entries(commands).map(([name, { about }]) => [name, about]),
    ),
    Options: {
      help: { short: 'h', help: 'Show this text, or that of a command.' },
      version: { help: 'Show the version.' },
      debug: { help: 'Show where an error comes from; so does SVD_DEBUG=1 in the environment.' },
    },
    'Exit codes': { '0': 'done', '1': 'failed', '2': 'wrong usage', '130': 'interrupted' },
  },
  examples: ['svd generate rocket.jpg --model svd-xt --output rocket.mp4'],
});

async function main([name, ...args]: string[]): Promise<number> {
  if (name === '--version') {
    console.log(version);
    return 0;
  }
  if (name === '--help' || name === '-h') {
    console.log(help);
    return 0;
  }
  const names = Object.keys(commands);
  if (name === undefined)
    throw new UsageError(`a command is required: ${names.join(', ')}. See svd --help.`);
  if (!Object.hasOwn(commands, name)) {
    const hint = didYouMean(name, names, (found) => `svd ${found}`);
    throw new UsageError(
      `there is no command "${name}".${hint} The commands are ${names.join(', ')}.`,
    );
  }
  const { run } = await commands[name].load();
  return run(args);
}

function report(error: unknown, debug: boolean): number {
  console.error(`svd: ${messageOf(error)}`);
  if (debug && error instanceof Error) console.error(error.stack);
  return exitCode(error);
}

const args = process.argv.slice(2);
const debug = args.includes('--debug') || process.env.SVD_DEBUG === '1';
const code = await main(args.filter((arg) => arg !== '--debug')).catch((error: unknown) =>
  report(error, debug),
);
// Threads of a backend would keep the process alive. The empty write waits until all output has
// left.
process.stdout.write('', () => process.exit(code));
