/** The options of `svd queue`: those of `svd generate`, for jobs and for workers, and its own. */
import { START_REDIS } from '../../queue/connection.ts';
import { carriers } from '../../queue/job.ts';
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
  ...(['output', 'like', 'preview', 'dump', 'latents', 'noResume'] as const),
  ...(['json', 'profile', 'quiet'] as const),
] as const;

const without = <O extends object, K extends keyof O>(table: O, names: readonly K[]) =>
  Object.fromEntries(
    Object.entries(table).filter(([name]) => !names.some((other) => other === name)),
  ) as Omit<O, K>;

/** The options of a job: everything that decides what its video is. */
export const jobOptions = without(generateOptions, [...ofWorkers, ...ofNobody]);

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

export const addOptions = {
  ...queueOption,
  ...group('Files', 'report', {
    outputDir: {
      value: 'DIR',
      files: ['/'],
      required: 'the folder of the videos',
      help: 'The folder that the videos are written to, each with the name of its picture.',
    },
    carrier: {
      choices: carriers,
      default: 'folder',
      help:
        'How pictures and videos travel: in folders that all machines see at the same paths, or ' +
        'in Redis, each of at most 64 MB; svd queue export brings the videos of redis.',
    },
  }),
  ...jobOptions,
};

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
