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

/** Milliseconds between two reports of progress. */
const BETWEEN = 500;

/** Milliseconds before a refused job is offered again: first, and at most, doubled each time. */
const [OFFERED_FIRST, OFFERED_LATEST] = [2000, 60_000];

/** Milliseconds after which a worker looks again whether it can do a job. */
const LOOKED_AGAIN = 300_000;

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

/** Why this worker cannot do a job, and when it has looked. */
interface Known {
  reason: string;
  at: number;
}

const isOld = ({ at }: Known) => performance.now() - at > LOOKED_AGAIN;

/** Where jobs come in and results go out. */
class Desk {
  private readonly queue: JobQueue;
  private readonly computer: Computer;
  private readonly name: string;
  private readonly options: Pick<WorkOptions, 'signal' | 'note'>;
  /** Jobs that this worker has looked at and cannot do. */
  private readonly refusals = new Map<string, Known>();

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
    if (outcome.kind === 'failed') {
      this.options.note(`${entry.data.picture?.name}: ${reason}`);
      throw outcome.mayPass ? new Error(reason) : new UnrecoverableError(reason);
    }
    await this.putBack(entry, token, reason);
    throw new DelayedError();
  };

  private async putBack(entry: Entry, token: string | undefined, reason: string): Promise<void> {
    const { refused = {}, offers = 0 } = entry.data;
    const known = this.refusals.get(entry.id!);
    if (known === undefined || isOld(known)) {
      this.refusals.set(entry.id!, { reason, at: performance.now() });
      this.options.note(`${entry.data.picture.name}: ${reason}`);
    }
    await entry.updateData({
      ...entry.data,
      ...{ refused: { ...refused, [this.name]: reason }, offers: offers + 1 },
    });
    const wait = Math.min(OFFERED_FIRST * 2 ** offers, OFFERED_LATEST);
    await entry.moveToDelayed(Date.now() + wait, token);
  }

  private async outcomeOf(entry: Entry): Promise<JobResult | Exclude<Outcome, { kind: 'done' }>> {
    const { redis } = this.queue;
    const id = entry.id!;
    const job = checkedJob(entry.data);
    const known = this.refusals.get(id);
    if (known && !isOld(known)) return { kind: 'refused', reason: known.reason };
    // Another worker, or this one before it lost the connection, may have made it already.
    const made: JobResult | null = JSON.parse((await redis.get(keyOf('result', id))) ?? 'null');
    if (made && (await isIntact(job, made))) return made;
    await using files = await carry(redis, id, job);
    if (this.options.signal.aborted) return { kind: 'stopped' };
    const start = performance.now();
    const keeping = new LatestState((path) => files.keepState(path));
    const outcome = await this.computer.perform(files.task, {
      ...this.reporting(entry),
      onState: keeping.isThere,
    });
    await keeping.ended;
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

/** Keeps states one after the other, and of those that come meanwhile only the last. */
class LatestState {
  ended: Promise<void> = Promise.resolve();
  private readonly keep: (path: string) => Promise<void>;
  private isKeeping = false;
  private isNew = false;

  constructor(keep: (path: string) => Promise<void>) {
    this.keep = keep;
  }

  readonly isThere = (path: string): void => {
    this.isNew = true;
    if (!this.isKeeping) this.ended = this.keepAll(path);
  };

  private async keepAll(path: string): Promise<void> {
    this.isKeeping = true;
    while (this.isNew) {
      this.isNew = false;
      await this.keep(path).catch(() => {}); // without it, the job starts anew elsewhere
    }
    this.isKeeping = false;
  }
}

/** What has become of a job that could not be computed. */
function failure(error: unknown): Exclude<Outcome, { kind: 'done' }> {
  const reason = messageOf(error);
  if (error instanceof Refusal) return { kind: 'refused', reason };
  return { kind: 'failed', reason, mayPass: mayPass(error) };
}
