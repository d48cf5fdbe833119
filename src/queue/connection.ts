/** Connects to Redis, and refuses one that could lose jobs. */
import type { Redis } from 'ioredis';
import { shownAddress } from '../text/addresses.ts';
import { messageOf } from '../text/messages.ts';

/** The line that starts a Redis which keeps every job. */
export const START_REDIS =
  'redis-server --appendonly yes --appendfsync always --maxmemory-policy noeviction';

/** The longest wait before another try to connect, in milliseconds. */
const LONGEST_WAIT = 2000;

/**
 * Loads the packages of queues, which a user of the other commands need not have.
 * @throws Error that says how to install them if they are missing.
 */
export async function loadPackages(): Promise<typeof import('bullmq') & { Redis: typeof Redis }> {
  try {
    const [bullmq, ioredis] = await Promise.all([import('bullmq'), import('ioredis')]);
    return { ...bullmq, Redis: ioredis.Redis };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new Error('svd queue needs two more packages. Run: npm install bullmq ioredis');
  }
}

/**
 * Connects to the Redis at `url`. Once connected, it connects again whenever the connection is
 * lost, and commands wait until it is back.
 * @throws Error if no Redis answers, or if it does not keep what it is told.
 */
export async function connect(url: string): Promise<Redis> {
  const { Redis } = await loadPackages();
  let wasConnected = false;
  const redis = new Redis(url, {
    lazyConnect: true,
    maxRetriesPerRequest: null,
    retryStrategy: (times) => (wasConnected ? Math.min(100 * times, LONGEST_WAIT) : null),
  });
  let reason: unknown;
  redis.on('error', (error) => {
    reason = error;
  });
  try {
    await redis.connect();
    wasConnected = true;
    await checkSettings(redis, url);
    return redis;
  } catch (error) {
    redis.disconnect();
    if (wasConnected) throw error;
    throw new Error(
      `no Redis answers at ${shownAddress(url)} (${messageOf(reason ?? error)}). Start one by: ` +
        START_REDIS,
    );
  }
}

/** @throws Error with the reason and the way out if Redis may lose jobs. */
async function checkSettings(redis: Redis, url: string): Promise<void> {
  const info = await redis.info();
  const setting = (name: string) => new RegExp(`^${name}:(.*?)\r?$`, 'm').exec(info)?.[1];
  const policy = setting('maxmemory_policy');
  const problem =
    setting('aof_enabled') !== '1'
      ? 'keeps no log of its jobs (appendonly is no), so they are lost when it ends'
      : policy !== 'noeviction'
        ? `drops jobs when its memory is full (maxmemory-policy is ${policy})`
        : undefined;
  if (problem)
    throw new Error(`the Redis at ${shownAddress(url)} ${problem}. Start it by: ${START_REDIS}`);
}
