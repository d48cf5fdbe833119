/** The jobs in Redis. */
import type { Queue, Job as QueuedJob } from 'bullmq';
import type { Redis } from 'ioredis';
import { connect, loadPackages } from './connection.ts';
import { type Job, type JobResult, jobId } from './job.ts';

/** What the names of keys in Redis begin with, and the name of the queue. */
export const [PREFIX, NAME] = ['svd', 'videos'];

/** The key of something in Redis. */
export const keyOf = (...parts: (string | number)[]): string => [PREFIX, ...parts].join(':');

/** Tries of a job that fails for a reason that may pass, the first of them after a second. */
const [ATTEMPTS, FIRST_WAIT] = [8, 1000];

/** A job as the queue knows it. */
export type Entry = QueuedJob<Job, JobResult>;

/** The states of jobs, in the order in which a job goes through them. */
export const states = ['waiting', 'delayed', 'active', 'completed', 'failed'] as const;

/** The queue at one Redis. */
export class JobQueue implements AsyncDisposable {
  readonly redis: Redis;
  private readonly queue: Queue<Job, JobResult>;

  private constructor(redis: Redis, queue: Queue<Job, JobResult>) {
    this.redis = redis;
    this.queue = queue;
  }

  /** @throws Error if there is no Redis at `url`, or one that may lose jobs. */
  static async open(url: string): Promise<JobQueue> {
    const { Queue } = await loadPackages();
    const redis = await connect(url);
    const queue = new Queue<Job, JobResult>(NAME, { connection: redis, prefix: PREFIX });
    queue.on('error', () => {}); // the connection comes back by itself
    return new JobQueue(redis, queue);
  }

  /**
   * Adds a job with the bytes of its picture, unless it is there. Its output is its own then.
   * @returns The job that is there already, if there is one.
   * @throws Error if the output is that of another job, or Redis has no room.
   */
  async add(job: Job, picture: Uint8Array): Promise<Job | undefined> {
    return this.put(job, picture).catch((error) => {
      if (!/^OOM command/.test(error.message)) throw error;
      const message = 'the memory of Redis is full. Wait until jobs have ended, or raise its';
      throw new Error(`${message} maxmemory.`, { cause: error });
    });
  }

  private async put(job: Job, picture: Uint8Array): Promise<Job | undefined> {
    const id = jobId(job);
    const same = await this.queue.getJob(id);
    if (same) return same.data;
    const outputs = keyOf('outputs');
    await this.redis.hsetnx(outputs, job.output, id);
    const owner = await this.redis.hget(outputs, job.output);
    if (owner !== null && owner !== id)
      throw new Error(
        `${job.output} is the output of another job, ${owner.slice(0, 12)}. Use another folder.`,
      );
    if (job.carrier === 'redis') await this.redis.set(keyOf('picture', id), Buffer.from(picture));
    await this.queue.add('video', job, {
      jobId: id,
      attempts: ATTEMPTS,
      backoff: { type: 'exponential', delay: FIRST_WAIT },
    });
    return undefined;
  }

  job(id: string): Promise<Entry | undefined> {
    return this.queue.getJob(id);
  }

  /** The jobs in a state, the first added first. */
  jobs(state: (typeof states)[number]): Promise<Entry[]> {
    return this.queue.getJobs([state], 0, -1, true);
  }

  /** The number of jobs in each state. */
  counts(): Promise<Record<string, number>> {
    return this.queue.getJobCounts(...states);
  }

  /** Lets a job that has ended run again, as if it were new. */
  async again(entry: Entry, state: 'failed' | 'completed'): Promise<void> {
    await this.redis.del(keyOf('result', entry.id!));
    await entry.retry(state, { resetAttemptsMade: true, resetAttemptsStarted: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.queue.close();
    this.redis.disconnect();
  }
}
