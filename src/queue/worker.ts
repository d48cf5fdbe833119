/** Takes jobs from the queue, one after the other, and hands in what they make. */
import { hostname } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { messageOf } from '../text/messages.ts';
import type { Computer, TaskListeners } from './computer.ts';
import { loadPackages } from './connection.ts';
import { carry, isIntact, Refusal } from './files.ts';
import { checkedJob, type Job, type JobResult } from './job.ts';
import { type Entry, type JobQueue, keyOf, NAME, PREFIX } from './jobQueue.ts';
import { mayPass, type Outcome } from './task.ts';
import { Heartbeat } from './workers.ts';

/** Milliseconds between two reports of progress, and before a refused job is offered again. */
const [BETWEEN, OFFERED_AGAIN] = [500, 2000];

/** Options of `work`. */
export interface WorkOptions {
  /** Seconds after which others take over the job of a worker that tells nothing any more. */
  takeover: number;
  /** Whether to end when no job is left that this worker can do. */
  untilDone: boolean;
  /** Ends the work when it aborts: the job is given back after its step. */
  signal: AbortSignal;
  note(text: string): void;
}

/**
 * Works until the signal, or until nothing is left.
 * @throws Error if this machine cannot compute.
 */
export async function work(
  queue: JobQueue,
  computer: Computer,
  { takeover, untilDone, signal, note }: WorkOptions,
): Promise<void> {
  const { Worker } = await loadPackages();
  const name = `${hostname()}:${process.pid}`;
  const backend = await computer.start();
  note(`${name} works on ${backend}`);
  await using _heartbeat = new Heartbeat(queue.redis, { name, backend }, takeover);
  const desk = new Desk(queue, computer, name, { signal, note });
  const worker = new Worker<Job, JobResult>(NAME, desk.process, {
    ...{ connection: queue.redis, prefix: PREFIX, autorun: false, name },
    ...{ lockDuration: 1000 * takeover, stalledInterval: 1000 * takeover },
    maxStalledCount: 1e9, // that a worker was killed is no fault of its job
  });
  worker.on('error', () => {}); // a lost connection comes back, and its jobs with it
  const close = () => {
    computer.stop();
    return worker.close();
  };
  signal.addEventListener('abort', close, { once: true });
  const running = worker.run();
  while (untilDone && !signal.aborted) {
    await delay(BETWEEN, undefined, { signal }).catch(() => {});
    if (!signal.aborted && (await isDone(queue, name))) await close();
    if (!worker.isRunning()) break;
  }
  await running;
  await close();
}

/** Whether no job is left but those that a worker has refused. */
async function isDone(queue: JobQueue, name: string): Promise<boolean> {
  const { waiting, active, delayed } = await queue.counts();
  if (waiting + active > 0) return false;
  if (delayed === 0) return true;
  const entries = await queue.jobs('delayed');
  return entries.every(({ data }) => data.refused?.[name] !== undefined);
}

/** Where jobs come in and results go out. */
class Desk {
  private readonly queue: JobQueue;
  private readonly computer: Computer;
  private readonly name: string;
  private readonly options: Pick<WorkOptions, 'signal' | 'note'>;

  constructor(
    queue: JobQueue,
    computer: Computer,
    name: string,
    options: Pick<WorkOptions, 'signal' | 'note'>,
  ) {
    this.queue = queue;
    this.computer = computer;
    this.name = name;
    this.options = options;
  }

  /** Does a job. BullMQ takes the kind of error for what becomes of the job. */
  readonly process = async (entry: Entry, token?: string): Promise<JobResult> => {
    const { UnrecoverableError, WaitingError, DelayedError } = await loadPackages();
    const outcome = await this.outcomeOf(entry).catch(failure);
    if ('files' in outcome) return outcome;
    if (outcome.kind === 'stopped') {
      await entry.moveToWait(token);
      throw new WaitingError();
    }
    const { reason } = outcome;
    this.options.note(`${entry.data.picture?.name}: ${reason}`);
    if (outcome.kind === 'failed')
      throw outcome.mayPass ? new Error(reason) : new UnrecoverableError(reason);
    const refused = { ...entry.data.refused, [this.name]: reason };
    await entry.updateData({ ...entry.data, refused });
    await entry.moveToDelayed(Date.now() + OFFERED_AGAIN, token);
    throw new DelayedError();
  };

  private async outcomeOf(entry: Entry): Promise<JobResult | Exclude<Outcome, { kind: 'done' }>> {
    const { redis } = this.queue;
    const id = entry.id!;
    const job = checkedJob(entry.data);
    // Another worker, or this one before it lost the connection, may have made it already.
    const made: JobResult | null = JSON.parse((await redis.get(keyOf('result', id))) ?? 'null');
    if (made && (await isIntact(job, made))) return made;
    await using files = await carry(redis, id, job);
    if (this.options.signal.aborted) return { kind: 'stopped' };
    const start = performance.now();
    const outcome = await this.computer.perform(files.task, {
      ...this.reporting(entry),
      onState: (path) => void files.keepState(path).catch(() => {}),
    });
    if (outcome.kind !== 'done') return outcome;
    const result = {
      files: await files.handIn(outcome.paths),
      worker: this.name,
      backend: outcome.backend,
      seconds: Math.round(performance.now() - start) / 1000,
    };
    await redis.set(keyOf('result', id), JSON.stringify(result));
    await redis.del(keyOf('picture', id), keyOf('state', id));
    this.options.note(`${result.files.map(({ path }) => path).join(', ')} is done`);
    return result;
  }

  /** Tells Redis where a job stands, now and then; nothing while it cannot be told. */
  private reporting(entry: Entry): TaskListeners {
    let last = Number.NEGATIVE_INFINITY;
    let isTelling = false;
    return {
      onNote: (text) => this.options.note(`${entry.data.picture.name}: ${text}`),
      onProgress: async (progress) => {
        if (isTelling || performance.now() - last < BETWEEN) return;
        [isTelling, last] = [true, performance.now()];
        await entry.updateProgress({ ...progress, worker: this.name }).catch(() => {});
        isTelling = false;
      },
    };
  }
}

/** What has become of a job that could not be computed. */
function failure(error: unknown): Exclude<Outcome, { kind: 'done' }> {
  const reason = messageOf(error);
  if (error instanceof Refusal) return { kind: 'refused', reason };
  return { kind: 'failed', reason, mayPass: mayPass(error) };
}
