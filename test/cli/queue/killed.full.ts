/**
 * `npm run test:queue`: 200 jobs on three workers, with 20 kills of workers, of the processes that
 * compute, and of Redis. It takes some minutes.
 */
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'chai';
import sharp from 'sharp';
import { isAlive } from '../../../src/files/process.ts';
import { JobQueue } from '../../../src/queue/jobQueue.ts';
import { overviewOf } from '../../../src/queue/overview.ts';
import { until } from '../../harness/until.ts';
import type { startSvd } from '../runs.ts';
import { childOf, queueForSuite } from './runs.ts';

/** `JOBS`, `KILLS` and `SEED` in the environment choose others. */
const setting = (name: string, usual: number) => Number(process.env[name] ?? usual);
const [JOBS, KILLS, SEED] = [setting('JOBS', 200), setting('KILLS', 20), setting('SEED', 1)];
const [WORKERS, BROKEN] = [3, 7];

/** Numbers from 0 to below 1 that follow from a seed. */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (1664525 * state + 1013904223) % 2 ** 32;
    return state / 2 ** 32;
  };
}

describe('svd queue, with kills', () => {
  const queue = queueForSuite();
  const nameOf = (i: number) => `picture-${`${i}`.padStart(3, '0')}`;
  const picture = (i: number) => queue.path(`many/${nameOf(i)}.png`);
  const video = (i: number) => queue.path(`videos/${nameOf(i)}.mp4`);
  const pids = new Set<number>();
  const workers: ReturnType<typeof startSvd>[] = [];
  const log = (text: string) => console.log(`      ${text}`);

  before(async () => {
    mkdirSync(queue.path('many'));
    const random = randomNumbers(SEED);
    for (let i = 0; i < JOBS; i++) {
      const data = Uint8Array.from({ length: 24 * 16 * 3 }, () => 256 * random());
      await sharp(data, { raw: { width: 24, height: 16, channels: 3 } }).toFile(picture(i));
    }
    writeFileSync(picture(BROKEN), readFileSync(picture(BROKEN)).subarray(0, 200));
  });

  function startWorker(i: number): void {
    workers[i] = queue.worker('--quiet');
    pids.add(workers[i].child.pid!);
  }

  /** Starts workers again that have ended because Redis was away when they began. */
  function reviveWorkers(): void {
    for (const [i, { child, ended }] of workers.entries()) {
      if (child.exitCode === null) continue;
      void ended.then(({ stderr }) => log(`a worker starts again: ${stderr.trim()}`));
      startWorker(i);
    }
  }

  it(`makes every video once, byte for byte: seed ${SEED}`, async () => {
    const addAll = () => queue.add([queue.path('many')], '--seed', '9', '--json');
    const added = JSON.parse((await addAll()).stdout);
    expect(added).to.deep.equal({ added: JOBS, thereAlready: 0, failed: 0 });
    await using jobs = await JobQueue.open(queue.server.url);
    const done = async () => (await jobs.counts()).completed;
    const start = Date.now();
    for (let i = 0; i < WORKERS; i++) startWorker(i);
    await until(async () => (await done()) > 0, 'the first video');
    log(`${Date.now() - start} ms to the first video`);

    const random = randomNumbers(SEED);
    const killed = { worker: 0, process: 0, redis: 0 };
    for (let kill = 0; kill < KILLS; kill++) {
      await delay(200 + 1800 * random());
      reviveWorkers();
      const kind = (['worker', 'process', 'redis'] as const)[Math.floor(3 * random())];
      const i = Math.floor(WORKERS * random());
      killed[kind]++;
      if (kind === 'redis') {
        await queue.server.kill();
        await delay(1000 * random());
        await queue.server.run();
      } else {
        const { pid } = workers[i].child;
        const child = childOf(pid!);
        if (child > 0) pids.add(child);
        if (kind === 'process' && child > 0) process.kill(child, 'SIGKILL');
        else workers[i].child.kill('SIGKILL');
        if (kind === 'worker') startWorker(i);
      }
      // In between: the same work once more, and an output that is damaged.
      if (kill === Math.floor(KILLS / 4)) {
        const again = JSON.parse((await addAll()).stdout);
        expect(again).to.deep.equal({ added: 0, thereAlready: JOBS, failed: 0 });
      }
      if (kill === Math.floor(KILLS / 2)) {
        const [first] = await jobs.jobs('completed');
        writeFileSync(first.data.output, 'damaged');
      }
    }
    log(`killed: ${JSON.stringify(killed)}, when ${await done()} were done`);
    const isIdle = async () => {
      reviveWorkers();
      const { waiting, active, delayed } = await jobs.counts();
      return waiting + active + delayed === 0;
    };
    await until(isIdle, 'the end of all jobs');
    const seconds = (Date.now() - start) / 1000;
    log(`${seconds.toFixed(0)} s, ${(JOBS / (seconds / 60)).toFixed(0)} jobs a minute`);
    const { counts, failed } = await overviewOf(jobs);
    expect(counts).to.include({ completed: JOBS - 1, failed: 1 });
    expect(failed[0].picture).to.equal(picture(BROKEN));

    const retried = JSON.parse((await queue.run('retry', '--json')).stdout);
    expect(retried).to.deep.equal({ failed: 1, damaged: 1 });
    await until(isIdle, 'the end of the jobs that ran again');
    const areReady = async () => {
      const names = (await overviewOf(jobs)).workers.map(({ name }) => name);
      return workers.every(({ child }) => names.some((name) => name.endsWith(`:${child.pid}`)));
    };
    await until(areReady, 'the start of all workers');
    for (const worker of workers) {
      pids.add(childOf(worker.child.pid!));
      worker.child.kill('SIGTERM');
    }
    for (const worker of workers) {
      const { code, stderr } = await worker.ended;
      expect(code, stderr).to.equal(0);
    }

    expect(
      [...pids].filter((pid) => pid > 0 && isAlive(pid)),
      'left running',
    ).to.deep.equal([]);
    const good = Array.from({ length: JOBS }, (_, i) => i).filter((i) => i !== BROKEN);
    const expected = good.map((i) => `${nameOf(i)}.mp4`);
    expect(readdirSync(queue.path('videos'))).to.deep.equal(expected);
    for (const i of good) {
      const single = await queue.single(picture(i), '--seed', '9');
      expect(readFileSync(video(i)).equals(single), nameOf(i)).to.equal(true);
    }
    log(`${good.length} videos, ${statSync(video(0)).size} bytes each, equal to single calls`);
  });
});
