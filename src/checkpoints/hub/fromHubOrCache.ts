/** Takes files from the hub, and from the cache where the hub may not or cannot be asked. */
import { type NetworkLimits, networkLimits } from '../../network/limits.ts';
import { CheckpointError, causeOf } from '../errors.ts';
import type { HubModel } from './address.ts';
import { CachedRepository, isCommit } from './cache.ts';
import { type HubOptions, hubSettings } from './environment.ts';
import { commitOf } from './remoteFiles.ts';
import { type Origin, UnavailableError } from './request.ts';

/** Milliseconds that the hub has to answer in if it can be done without. */
const ONE_TRY = 10_000;

/** Options of asking the hub. */
export interface AskOptions extends HubOptions {
  /**
   * The first pause after a failed request in milliseconds; the next ones are twice as long.
   * Default 1000.
   */
  pause?: number;
  /** Limits of requests other than the usual ones, for tests. @internal */
  limits?: Partial<NetworkLimits>;
  /** Stops the work; the promise rejects with the signal's reason. */
  signal?: AbortSignal;
}

type Way = (repository: CachedRepository, origin: Origin) => Promise<string>;

/** The two ways to the path of what is wanted. */
export interface Ways {
  /** Looks only into the cache. */
  cached: Way;
  /** Asks the hub, and fetches what the cache lacks. */
  fetched: Way;
}

/**
 * The path of what is wanted of a model of the hub.
 * @throws CheckpointError if the hub refuses or cannot be reached and the cache lacks something, or
 * the disk is full; the signal's reason.
 */
export async function fromHubOrCache(
  { id, revision }: Required<HubModel>,
  options: AskOptions,
  { cached, fetched }: Ways,
): Promise<string> {
  const { endpoint, cacheDir, authorization, offline } = await hubSettings(options);
  const { signal, pause = networkLimits.pause } = options;
  const repository = new CachedRepository(cacheDir, id);
  const limits = { ...networkLimits, pause, ...options.limits };
  const origin: Origin = { endpoint, id, revision, authorization, signal, limits };
  try {
    return await (offline ? cached : fetched)(repository, origin);
  } catch (error) {
    if (!(error instanceof UnavailableError)) throw systemError(error, cacheDir);
    const path = await cached(repository, origin).catch(() => {
      throw error;
    });
    console.warn(`${error.message} ${id} is taken from the cache as it was last seen.`);
    return path;
  }
}

/**
 * The commit that the hub names. Where the cache has all of the last one, the hub is asked once.
 */
export async function currentCommit(
  repository: CachedRepository,
  origin: Origin,
  isThere: (commit: string) => Promise<boolean>,
): Promise<string> {
  if (isCommit(origin.revision)) return origin.revision;
  const last = await repository.commit(origin.revision);
  const once = { tries: 1, patience: Math.min(ONE_TRY, origin.limits.patience) };
  const asksOnce = last !== undefined && (await isThere(last));
  return commitOf(asksOnce ? { ...origin, limits: { ...origin.limits, ...once } } : origin);
}

/** An error of the file system as one sentence. */
function systemError(error: unknown, cacheDir: string): unknown {
  if (!(error instanceof Error && 'syscall' in error) || error instanceof CheckpointError)
    return error;
  return new CheckpointError(
    `The cache ${cacheDir} cannot be written: ${causeOf(error)}. Choose another folder by ` +
      '--cache-dir or HF_HUB_CACHE.',
    { cause: error },
  );
}
