/** Brings the files of jobs to where they are computed, and back. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import type { Redis } from 'ioredis';
import { sha256OfFiles } from '../files/sha256.ts';
import { removeLeftovers, temporaryIn } from '../files/writing/temporary.ts';
import { formatFileSize } from '../text/bytes.ts';
import type { Job, JobResult, MadeFile } from './job.ts';
import { keyOf } from './jobQueue.ts';
import type { Task } from './task.ts';

/** The most bytes of a picture, an output or a state that travel in Redis. */
export const REDIS_LIMIT = 64e6;

/** What this worker cannot do, but another one perhaps can. */
export class Refusal extends Error {}

/** The files of a job on the machine that computes it. */
export interface CarriedFiles extends AsyncDisposable {
  task: Task;
  /** Makes the state in the file at `path` known to other workers. */
  keepState(path: string): Promise<void>;
  /** Brings what was made to where it belongs. */
  handIn(paths: string[]): Promise<MadeFile[]>;
}

/**
 * Makes the files of a job ready to be computed.
 * @throws Refusal if this machine does not see them; Error if they are not what was added.
 */
export const carry = (redis: Redis, id: string, job: Job): Promise<CarriedFiles> =>
  job.carrier === 'folder' ? inFolder(job) : inRedis(redis, id, job);

/** The files in folders that all machines see. A state is beside its output. */
async function inFolder(job: Job): Promise<CarriedFiles> {
  const { picture, output } = job;
  for (const folder of [dirname(picture.path), dirname(output)])
    if (!existsSync(folder)) throw new Refusal(`there is no folder ${folder}`);
  await checkPicture(job, await readFile(picture.path));
  return {
    task: { job, picture: picture.path, output },
    keepState: async () => {},
    handIn: describe,
    [Symbol.asyncDispose]: async () => {},
  };
}

/** Copies of the files in a folder of their own. */
async function inRedis(redis: Redis, id: string, job: Job): Promise<CarriedFiles> {
  const bytes = await redis.getBuffer(keyOf('picture', id));
  if (bytes === null) throw new Error('the picture is no longer in Redis. Add it again.');
  await checkPicture(job, bytes);
  await removeLeftovers(tmpdir());
  const folder = temporaryIn(tmpdir());
  await mkdir(folder);
  const picture = join(folder, basename(job.picture.path));
  await writeFile(picture, bytes);
  const state = await redis.hgetallBuffer(keyOf('state', id));
  if (state.bytes) await writeFile(join(folder, `${state.name}`), state.bytes);
  return {
    task: { job, picture, output: join(folder, basename(job.output)) },
    async keepState(path) {
      if ((await stat(path)).size > REDIS_LIMIT) return;
      await redis.hset(keyOf('state', id), { name: basename(path), bytes: await readFile(path) });
    },
    async handIn(paths) {
      const made = await describe(paths);
      for (const [i, { path, bytes }] of made.entries()) {
        checkSize('The output', path, bytes);
        await redis.set(keyOf('output', id, i), await readFile(path));
      }
      return made.map((file) => ({
        ...file,
        path: join(dirname(job.output), basename(file.path)),
      }));
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}

/** @throws Error if a file is too large for Redis. */
export function checkSize(what: string, path: string, bytes: number): void {
  if (bytes <= REDIS_LIMIT) return;
  throw new Error(
    `${what} ${path} has ${formatFileSize(bytes)}, but at most ${formatFileSize(REDIS_LIMIT)} ` +
      'travel in Redis. Use a folder that all machines see: --carrier folder.',
  );
}

async function checkPicture({ picture }: Job, bytes: Buffer): Promise<void> {
  if (sha256(bytes) === picture.sha256) return;
  throw new Error(`${picture.path} is not the picture that was added. Add it again.`);
}

/** SHA-256 in hexadecimal digits. */
export const sha256 = (bytes: Uint8Array): string =>
  createHash('sha256').update(bytes).digest('hex');

async function describe(paths: string[]): Promise<MadeFile[]> {
  const hashes = await sha256OfFiles(paths);
  const sizes = await Promise.all(paths.map((path) => stat(path)));
  return paths.map((path, i) => ({ path, sha256: hashes[i], bytes: sizes[i].size }));
}

/** Whether the files of a result are there as they were made. Those in Redis are collected once. */
export async function isIntact({ carrier }: Job, { files }: JobResult): Promise<boolean> {
  if (carrier === 'redis') return true;
  const now = await describe(files.map(({ path }) => path)).catch(() => undefined);
  return now?.every((file, i) => file.sha256 === files[i].sha256) ?? false;
}
