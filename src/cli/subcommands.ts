/** The subcommands of `svd`. */
import type { Subcommands } from './terminal/command.ts';

/**
 * Subcommands by name. Each is imported only when it is called, and TensorFlow.js only when the
 * command works, because that takes a second to start.
 */
export const subcommands: Subcommands = {
  generate: {
    about: 'Make a video from a picture.',
    load: async () => (await import('./generate/command.ts')).generate,
  },
  batch: {
    about: 'Make a video from each of many pictures.',
    load: async () => (await import('./batch/command.ts')).batch,
  },
  'queue add': {
    about: 'Add pictures to a queue that several machines work on.',
    load: async () => (await import('./queue/add.ts')).add,
  },
  'queue work': {
    about: 'Compute the jobs of a queue.',
    load: async () => (await import('./queue/work.ts')).work,
  },
  'queue status': {
    about: 'Show where the jobs and the workers of a queue stand.',
    load: async () => (await import('./queue/status.ts')).status,
  },
  'queue retry': {
    about: 'Let failed jobs of a queue run again.',
    load: async () => (await import('./queue/retry.ts')).retry,
  },
  'queue export': {
    about: 'Write a report of the jobs of a queue.',
    load: async () => (await import('./queue/export.ts')).exportReport,
  },
  download: {
    about: 'Bring a checkpoint from the hub into the cache.',
    load: async () => (await import('./download.ts')).download,
  },
  convert: {
    about: 'Convert a checkpoint from one format to another.',
    load: async () => (await import('../../converters/main.ts')).convert,
  },
  info: {
    about: 'Describe a checkpoint, and the memory that it needs.',
    load: async () => (await import('./info.ts')).info,
  },
  reference: {
    about: 'Let diffusers compute what verify compares with.',
    load: async () => (await import('./reference/command.ts')).reference,
  },
  verify: {
    about: 'Compare every stage with what diffusers computed.',
    load: async () => (await import('./verify/command.ts')).verify,
  },
  backends: {
    about: 'List the backends, and why one cannot be used.',
    load: async () => (await import('./backends.ts')).backends,
  },
  env: {
    about: 'Print what a report of a fault needs.',
    load: async () => (await import('./env.ts')).env,
  },
  setup: {
    about: 'Set up the tensorflow or the webgpu backend.',
    load: async () => (await import('./setup.ts')).setup,
  },
  completion: {
    about: 'Print a script that completes commands in a shell.',
    load: async () => (await import('./completion.ts')).completionOf(subcommands),
  },
};

/** The second words of the commands that begin with a word. */
export const secondWords = (first: string): string[] =>
  Object.keys(subcommands)
    .filter((name) => name.startsWith(`${first} `))
    .map((name) => name.slice(first.length + 1));

/** Joins the two words of a command such as `queue add`. */
export function joinName(words: string[]): string[] {
  const [first, second, ...rest] = words;
  const name = `${first} ${second}`;
  return Object.hasOwn(subcommands, name) ? [name, ...rest] : words;
}
