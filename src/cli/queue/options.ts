/** The options of `svd queue`: those of `svd generate`, for jobs and for workers, and its own. */

import { START_REDIS } from '../../queue/connection.ts';
import { carriers } from '../../queue/job.ts';
import { kebabCase } from '../../text/cases.ts';
import { manyOptions, namesOfOne } from '../batch/options.ts';
import { generateOptions } from '../generate/options.ts';
import { UsageError } from '../terminal/errors.ts';
import { group, pick } from '../terminal/options.ts';
import { type Reader, realNumber } from '../terminal/values.ts';

/** Options that belong to the machine that computes. */
const ofWorkers = [
  ...(['backend', 'threads', 'offload', 'weightDtype', 'memory'] as const),
  ...(['cacheDir', 'token', 'localFilesOnly'] as const),
] as const;

/** Options that jobs cannot have: their files and what they show are the queue's. */
const ofNobody = [
  ...(['output', 'preview', 'dump', 'latents', 'noResume'] as const),
  ...(['json', 'profile', 'quiet'] as const),
] as const;

const without = <O extends object, K extends keyof O>(table: O, names: readonly K[]) =>
  Object.fromEntries(
    Object.entries(table).filter(([name]) => !names.some((other) => other === name)),
  ) as Omit<O, K>;

/** The names of the options of a job: all that decide what its video is. */
export const jobOptionNames = Object.keys(without(generateOptions, [...ofWorkers, ...ofNobody]));

/** Those that a job cannot have. */
export const otherOptionNames = [...ofWorkers, ...ofNobody];

/** The options of a worker. */
export const workerOptions = {
  model: {
    ...generateOptions.model,
    help: 'Where this machine has the checkpoint of the jobs. Default: where they say it is.',
  },
  ...pick(generateOptions, ...ofWorkers),
};

const address: Reader<string> = (text, flag) => {
  if (/^rediss?:\/\/./.test(text) && URL.canParse(text)) return text;
  throw new UsageError(
    `--${flag} has to be an address such as redis://localhost:6379 but is "${text}".`,
  );
};

/** The option of all commands of the queue. */
export const queueOption = {
  queue: {
    value: 'URL',
    required: 'the address of Redis, such as redis://localhost:6379',
    read: address,
    help:
      'The Redis that holds the jobs: redis://[USER:PASSWORD@]HOST:PORT[/NUMBER], or rediss:// ' +
      `for TLS. Start one by: ${START_REDIS}.`,
  },
};

/** The options of `svd queue add`. */
export const addOptions = {
  ...queueOption,
  ...group('Files', 'report', {
    carrier: {
      choices: carriers,
      default: 'folder',
      help:
        'How pictures and videos travel: in folders that all machines see at the same paths, or ' +
        'in Redis, each of at most 64 MB; svd queue export brings the videos of redis.',
    },
  }),
  ...without(manyOptions, [...ofWorkers, 'preview', 'latents', 'noResume', 'json', 'quiet']),
  ...pick(manyOptions, 'json', 'quiet'),
};

/** Options that jobs do not have, with what to do instead. */
export const namesOfOthers: Record<string, string> = {
  ...namesOfOne,
  ...Object.fromEntries(
    ofWorkers.map((name) => [kebabCase(name), 'It is for the machine: svd queue work.']),
  ),
};

/** The values of options that are not for jobs, where they are not passed. */
export const usualOfOthers = { backend: 'auto', weightDtype: 'auto', noResume: false } as const;

/** The options of `svd queue work` that are of the queue. */
export const ownWorkerOptions = {
  takeover: {
    value: 'SECONDS',
    read: realNumber({ min: 1, max: 3600, unit: 'seconds' }),
    default: 30,
    help:
      'Seconds after which other workers take over the job of one that was killed or has lost its ' +
      'connection.',
  },
  untilDone: { help: 'End when no job is left, instead of waiting for the next.' },
};
