/**
 * `npm run bench -- --queue`: jobs per minute of `svd queue` with one and with two workers of one
 * thread each, against `svd batch`, which does the same work without a queue.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { JobQueue } from '../src/queue/jobQueue.ts';
import { overviewOf } from '../src/queue/overview.ts';
import { RedisServer } from '../test/harness/redis.ts';
import { builtCommand, root } from './prepare.ts';
import { markdown, seconds } from './table.ts';

/** Jobs of about ten seconds on one thread, with the small model. */
const [JOBS, STEPS] = [8, 100];

/** Workers of each case; none is the work without a queue. */
const workers: Record<string, number> = { 'no-queue': 0, 'one-worker': 1, 'two-workers': 2 };

/** The names of the cases. */
export const queueCases = Object.keys(workers);

interface QueueRow {
  case: string;
  workers: number;
  jobs_per_minute: number;
  /** From the start of `svd queue add`, and from the job in Redis, to its first progress. */
  add_to_progress_seconds?: number;
  queued_to_progress_seconds?: number;
}

/** Measures cases and prints a table. */
export async function queueInTurns(
  names: string[],
  write: (rows: object[]) => void,
): Promise<void> {
  const rows: QueueRow[] = [];
  for (const name of names) {
    const folder = mkdtempSync(join(tmpdir(), 'svd-bench-'));
    const server = await RedisServer.start();
    try {
      const picture = join(root, 'examples/pictures/toy-rocket.png');
      // With a seed each: equal work would be one job.
      const lines = Array.from({ length: JOBS }, (_, i) => `${picture},${i}.mp4,${i}`);
      writeFileSync(join(folder, 'jobs.csv'), ['picture,output,seed', ...lines].join('\n'));
      rows.push({ case: name, ...(await measure(folder, server.url, workers[name])) });
      write(rows);
    } finally {
      await server.remove();
      rmSync(folder, { recursive: true });
    }
  }
  const alone = rows.find((row) => row.workers === 0)?.jobs_per_minute;
  const lines = rows.map((row) => [
    ...[row.case, row.jobs_per_minute.toFixed(2)],
    alone === undefined ? '' : (row.jobs_per_minute / alone).toFixed(3),
    ...[row.add_to_progress_seconds, row.queued_to_progress_seconds].map((value) =>
      value === undefined ? '' : seconds(value),
    ),
  ]);
  const heads = ['case', 'jobs/min', 'of no queue', 'add to progress s', 'queued to progress s'];
  console.log(markdown(heads, lines));
}

/** @param count Workers; none for the work without a queue. */
async function measure(
  folder: string,
  url: string,
  count: number,
): Promise<Omit<QueueRow, 'case'>> {
  const videos = join(folder, 'videos');
  const call = [
    ...[join(folder, 'jobs.csv'), '--output-dir', videos, '--encoder', 'builtin'],
    ...['--num-inference-steps', `${STEPS}`, '--model', join(root, 'weights/tiny')],
  ];
  const onThread = ['--backend', 'wasm', '--threads', '1', '--quiet'];
  if (count === 0) {
    await ended(start('batch', ...call, ...onThread));
    return { workers: 0, jobs_per_minute: rateOf(videos, 1) };
  }
  const to = ['--queue', url];
  await using queue = await JobQueue.open(url);
  const running = Array.from({ length: count }, () => start('queue', 'work', ...to, ...onThread));
  while ((await overviewOf(queue)).workers.length < count) await delay(100);
  const before = Date.now();
  const adding = ended(start('queue', 'add', ...to, ...call, '--quiet'));
  let first: number | undefined;
  while (first === undefined) {
    await delay(5);
    const active = await queue.jobs('active');
    if (active.some(({ progress }) => typeof progress === 'object')) first = Date.now();
  }
  const [{ timestamp }] = await queue.jobs('active');
  await adding;
  while ((await queue.counts()).completed < JOBS) await delay(100);
  for (const worker of running) worker.kill('SIGTERM');
  await Promise.all(running.map(ended));
  return {
    ...{ workers: count, jobs_per_minute: rateOf(videos, count) },
    add_to_progress_seconds: (first - before) / 1000,
    queued_to_progress_seconds: (first - timestamp) / 1000,
  };
}

/** Videos per minute, from the end of the first of each worker to that of the last: without loading. */
function rateOf(folder: string, count: number): number {
  const times = readdirSync(folder)
    .filter((name) => name.endsWith('.mp4'))
    .map((name) => statSync(join(folder, name)).mtimeMs)
    .sort((a, b) => a - b);
  return (60_000 * (JOBS - count)) / (times[JOBS - 1] - times[count - 1]);
}

const start = (...args: string[]): ChildProcess =>
  spawn(process.execPath, [builtCommand, ...args], { stdio: ['ignore', 'ignore', 'inherit'] });

/** @throws Error if a command fails. */
async function ended(child: ChildProcess): Promise<void> {
  const [code] = child.exitCode === null ? await once(child, 'exit') : [child.exitCode];
  if (code !== 0) throw new Error(`svd has ended with exit code ${code}.`);
}
