/** Which workers there are: each says so in Redis, again and again. */
import type { Redis } from 'ioredis';
import { keyOf } from './jobQueue.ts';

/** A worker that runs. */
export interface WorkerEntry {
  /** Its machine and the number of its process. */
  name: string;
  /** What computes. */
  backend: string;
}

/** Says that a worker runs, until it is disposed. */
export class Heartbeat implements AsyncDisposable {
  private readonly redis: Redis;
  private readonly key: string;
  private readonly beats: NodeJS.Timeout;
  private isTelling = false;

  /** @param takeover Seconds after which a worker that tells nothing any more is forgotten. */
  constructor(redis: Redis, worker: WorkerEntry, takeover: number) {
    this.redis = redis;
    this.key = keyOf('worker', worker.name);
    const tell = async () => {
      if (this.isTelling) return; // the connection is lost
      this.isTelling = true;
      await redis.set(this.key, JSON.stringify(worker), 'EX', Math.ceil(takeover)).catch(() => {});
      this.isTelling = false;
    };
    void tell();
    this.beats = setInterval(tell, (1000 * takeover) / 4);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.beats);
    if (this.redis.status === 'ready') await this.redis.del(this.key).catch(() => {});
  }
}

/** The workers that run, by their names. */
export async function runningWorkers(redis: Redis): Promise<WorkerEntry[]> {
  const keys: string[] = [];
  for await (const found of redis.scanStream({ match: keyOf('worker', '*'), count: 1000 }))
    keys.push(...found);
  const texts = keys.length > 0 ? await redis.mget(keys) : [];
  return texts
    .filter((text) => text !== null)
    .map((text) => JSON.parse(text) as WorkerEntry)
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}
