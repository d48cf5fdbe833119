/** Workers on a real Redis, with a stand-in for the process that computes. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { Computer } from '../../src/queue/computer.ts';
import { sha256 } from '../../src/queue/files.ts';
import type { Job } from '../../src/queue/job.ts';
import { jobId } from '../../src/queue/job.ts';
import { JobQueue, keyOf } from '../../src/queue/jobQueue.ts';
import { overviewOf } from '../../src/queue/overview.ts';
import { type WorkOptions, work } from '../../src/queue/worker.ts';
import { messageOf } from '../../src/text/messages.ts';
import { redisForSuite } from '../harness/redis.ts';
import { until } from '../harness/until.ts';

const program = fileURLToPath(new URL('standIn.mjs', import.meta.url));

describe('worker of the queue', () => {
  const redis = redisForSuite();
  let folder: string;
  let queue: JobQueue;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'svd-test-'));
    queue = await JobQueue.open(redis.url);
    await queue.redis.flushall();
  });
  afterEach(async () => {
    await queue[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });
  const path = (name: string) => join(folder, name);

  /** Adds a job that does something. @returns Its id. */
  async function add(does: string, given: Partial<Job> = {}): Promise<string> {
    const bytes = Buffer.from(`picture of ${does}`);
    writeFileSync(path(`${does}.png`), bytes);
    const job: Job = {
      picture: { name: `${does}.png`, path: path(`${does}.png`), sha256: sha256(bytes) },
      settings: { seeds: [0], does, go: path('go') },
      checkpoint: { hash: 'cc' },
      output: path(`${does}.mp4`),
      carrier: 'folder',
      ...given,
    };
    expect(await queue.add(job, bytes)).to.equal(undefined);
    return jobId(job);
  }

  /** Starts a worker, with a connection of its own. */
  function startWorker(given: Partial<WorkOptions> = {}, setup: object = {}) {
    const controller = new AbortController();
    const notes: string[] = [];
    const run = async () => {
      await using own = await JobQueue.open(redis.url);
      const computer = new Computer(program, setup);
      const { signal } = controller;
      const note = (text: string) => notes.push(text);
      await work(own, computer, { takeover: 2, untilDone: false, signal, note, ...given }).finally(
        () => computer.end(),
      );
    };
    return { ended: run(), notes, stop: () => controller.abort() };
  }
  const workUntilDone = () => startWorker({ untilDone: true }).ended;
  const counts = () => queue.counts();
  const there = (name: string) => until(() => existsSync(path(name)), name);

  it('hands in what is made, with its hash', async () => {
    const id = await add('make');
    await workUntilDone();
    const { returnvalue } = (await queue.job(id))!;
    const bytes = readFileSync(path('make.mp4'));
    expect(bytes.toString()).to.equal('made of picture of make');
    expect(returnvalue).to.deep.include({
      files: [{ path: path('make.mp4'), sha256: sha256(bytes), bytes: bytes.length }],
      backend: 'none',
    });
  });

  it('tries again what may pass, and not what cannot', async () => {
    const ids = [await add('fail once'), await add('fail')];
    await workUntilDone();
    const [passed, failed] = await Promise.all(ids.map((id) => queue.job(id)));
    expect(passed!.attemptsMade).to.equal(2);
    expect(failed).to.include({ attemptsMade: 1, failedReason: 'it is no picture' });
    expect(await counts()).to.include({ completed: 1, failed: 1, waiting: 0, delayed: 0 });
  });

  it('puts back what it cannot do, counts no try, and says so', async () => {
    const id = await add('refuse');
    await add('make');
    const worker = startWorker();
    await there('make.mp4');
    await until(async () => (await overviewOf(queue)).held.length === 1, 'the job that is held');
    const { held } = await overviewOf(queue);
    expect(held[0].reason).to.match(/^.+:\d+: it is too large$/);
    expect((await queue.job(id))!.attemptsMade).to.equal(0);
    expect(worker.notes).to.include('refuse.png: it is too large');
    worker.stop();
    await worker.ended;
    expect((await overviewOf(queue)).workers).to.deep.equal([]);
  });

  it('tries again when the process that computes was killed, with another one', async () => {
    const id = await add('die');
    await add('make');
    const worker = startWorker();
    await there('make.mp4');
    worker.stop();
    await worker.ended;
    const entry = (await queue.job(id))!;
    expect(entry.failedReason).to.equal('the process that computes ended by SIGKILL.');
    expect(await entry.getState()).to.equal('delayed');
  });

  for (const carrier of ['folder', 'redis'] as const)
    it(`gives a job back when it is stopped, with its state: by ${carrier}`, async () => {
      const id = await add('wait', { carrier });
      const worker = startWorker();
      await until(async () => (await overviewOf(queue)).active[0]?.progress?.step === 1, 'a step');
      if (carrier === 'redis')
        await until(async () => (await queue.redis.exists(keyOf('state', id))) === 1, 'a state');
      worker.stop();
      await worker.ended;
      expect(await counts()).to.include({ waiting: 1, active: 0, delayed: 0 });
      await workUntilDone();
      const entry = (await queue.job(id))!;
      expect(entry.attemptsMade).to.equal(1);
      const made =
        carrier === 'folder'
          ? readFileSync(path('wait.mp4'))
          : await queue.redis.getBuffer(keyOf('output', id, 0));
      expect(made!.toString()).to.equal('step 1, made of picture of wait');
      const left = await queue.redis.keys(keyOf('{picture,state}', '*'));
      expect(left).to.deep.equal([]);
    });

  it('works on while the connection is lost, and hands in the result afterwards', async () => {
    const id = await add('wait');
    const worker = startWorker({ untilDone: true, takeover: 1 });
    await there('wait.mp4.state');
    await redis.server.kill();
    writeFileSync(path('go'), '');
    await there('wait.mp4');
    await delay(1500); // the job counts as abandoned now
    await redis.server.run();
    await worker.ended;
    const entry = (await queue.job(id))!;
    expect(await entry.getState()).to.equal('completed');
    // It was made once: a second time would have gone on from the state.
    expect(readFileSync(path('wait.mp4'), 'utf8')).to.equal('made of picture of wait');
  });

  it('fails a job whose picture is another one, and puts back one that it does not see', async () => {
    const other = await add('make');
    writeFileSync(path('make.png'), 'another');
    const away = await add('away', { output: path('nowhere/away.mp4') });
    await workUntilDone();
    expect((await queue.job(other))!.failedReason).to.equal(
      `${path('make.png')} is not the picture that was added. Add it again.`,
    );
    const { refused } = (await queue.job(away))!.data;
    expect(Object.values(refused!)).to.deep.equal([`there is no folder ${path('nowhere')}`]);
  });

  it('does not start where nothing can compute', async () => {
    const { ended } = startWorker({}, { ready: { problem: 'there is no such backend' } });
    expect(await ended.catch(messageOf)).to.equal('there is no such backend');
  });

  it('leaves an output to the job that was added first', async () => {
    const output = path('one.mp4');
    const first = await add('make', { output });
    const bytes = Buffer.from('another');
    const job: Job = {
      picture: { name: 'b.png', path: path('b.png'), sha256: sha256(bytes) },
      ...{ settings: { seeds: [1] }, checkpoint: { hash: 'cc' }, output, carrier: 'folder' },
    };
    expect(await queue.add(job, bytes).catch(messageOf)).to.equal(
      `${output} is the output of another job, ${first.slice(0, 12)}. Use another folder.`,
    );
  });
});
