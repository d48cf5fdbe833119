/** Requests to the hub that survive failures of the network and explain refusals. */
import { setTimeout as sleep } from 'node:timers/promises';
import { CheckpointError } from '../errors.ts';

/** Tries without any progress before giving up: with doubling pauses, half a minute. */
const MOST_TRIES = 6;
const LONGEST_PAUSE = 300_000;
/** Longest silence of a connection, in milliseconds. */
const STALL = 60_000;

/** A failure that may be gone at the next try. */
export class PassingError extends Error {
  /** Milliseconds that the server asks to wait. */
  readonly pause?: number;

  constructor(message: string, options: { cause?: unknown; pause?: number } = {}) {
    super(message, options);
    this.pause = options.pause;
  }
}

/** The hub could not be reached, or did not answer, after several tries. */
export class UnreachableError extends CheckpointError {}

/** The hub, the model and the revision, for requests and for messages. */
export interface Origin {
  endpoint: string;
  /** `org/name`. */
  id: string;
  revision: string;
  token?: string;
  signal?: AbortSignal;
  /** The first pause after a failure in milliseconds. Default: 1000. */
  pause?: number;
}

/**
 * Does `work` again, after growing pauses, as long as it throws `PassingError`. `work` calls
 * `progressed` when it has got further, which starts the counting anew.
 * @throws UnreachableError after too many failures; what else `work` throws; the signal's reason.
 */
export async function persistently<T>(
  { endpoint, signal, pause = 1000 }: Origin,
  work: (progressed: () => void) => Promise<T>,
): Promise<T> {
  for (let failures = 0; ; ) {
    signal?.throwIfAborted();
    try {
      return await work(() => {
        failures = 0;
      });
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof PassingError)) throw error;
      failures += 1;
      const wait = error.pause ?? pause * 2 ** (failures - 1) * (1 + Math.random() / 4);
      if (failures >= MOST_TRIES || wait > LONGEST_PAUSE) {
        const later =
          wait > LONGEST_PAUSE ? ` It asks to wait ${Math.ceil(wait / 60_000)} minutes.` : '';
        throw new UnreachableError(
          `${endpoint} cannot be reached: ${error.message}.${later} Check the connection and ` +
            'run the same again: what is there stays.',
          { cause: error },
        );
      }
      await sleep(wait, undefined, { signal }).catch(() => signal?.throwIfAborted());
    }
  }
}

/**
 * One request, with the token, that fails when nothing comes for a minute: call `alive` for each
 * part of the body that has come.
 * @throws PassingError if the network or the server fails; CheckpointError with the way out if the
 * server refuses.
 */
export async function request(
  origin: Origin,
  url: string,
  init: { headers?: HeadersInit; method?: string; body?: BodyInit | null },
): Promise<{ response: Response; alive: () => void; done: () => void }> {
  const stalled = new AbortController();
  const timer = setTimeout(() => stalled.abort(new Error('nothing has come for a minute')), STALL);
  const signal = origin.signal ? AbortSignal.any([origin.signal, stalled.signal]) : stalled.signal;
  const headers = new Headers(init.headers);
  if (origin.token !== undefined) headers.set('authorization', `Bearer ${origin.token}`);
  headers.set('user-agent', 'stable-video-diffusion-tfjs');
  try {
    const response = await fetch(url, { ...init, headers, signal });
    if (!response.ok) {
      await response.body?.cancel();
      throw refusal(origin, response);
    }
    return { response, alive: () => timer.refresh(), done: () => clearTimeout(timer) };
  } catch (error) {
    clearTimeout(timer);
    throw error instanceof CheckpointError || error instanceof PassingError
      ? error
      : networkError(error);
  }
}

/** `fetch` for JSON, as the hub's own package takes it. */
export function persistentFetch(origin: Origin): typeof fetch {
  return (url, init = {}) =>
    persistently(origin, async () => {
      const { response, done } = await request(origin, String(url), init as RequestInit);
      try {
        // whole, so that a cut connection is seen here
        return new Response(await response.arrayBuffer(), response);
      } catch (error) {
        throw networkError(error);
      } finally {
        done();
      }
    });
}

/** The reason that `fetch` hides in the cause of its error. */
export function networkError(error: unknown): PassingError {
  const deepest = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return new PassingError(
    deepest instanceof Error ? deepest.message || deepest.name : String(deepest),
    { cause: error },
  );
}

function refusal({ endpoint, id, revision, token }: Origin, response: Response): Error {
  const { status } = response;
  const code = response.headers.get('x-error-code') ?? '';
  if (status === 408 || status === 416 || status === 429 || status >= 500) {
    return new PassingError(`it answers with status ${status}`, { pause: retryAfter(response) });
  }
  if (code === 'GatedRepo') {
    const how =
      token === undefined
        ? 'then pass an access token: --token, HF_TOKEN, or `hf auth login`'
        : 'with the account of your token';
    return new CheckpointError(`${id} is gated. Accept its licence on ${endpoint}/${id}, ${how}.`);
  }
  if (code === 'RevisionNotFound') {
    return new CheckpointError(
      `${id} has no revision "${revision}". Use a branch, a tag or a commit of ` +
        `${endpoint}/${id}, or leave it out.`,
    );
  }
  if (status === 401 && token !== undefined && code !== 'RepoNotFound') {
    return new CheckpointError(
      `${endpoint} does not accept the access token. Make a new one in the settings of your ` +
        'account.',
    );
  }
  if (status === 401 || status === 404) {
    const hint =
      token === undefined
        ? 'pass an access token (--token, HF_TOKEN) if it is private'
        : 'or let the account of your token see it';
    return new CheckpointError(
      `There is no model ${id} on ${endpoint}, and no folder of that name here. Check the ` +
        `name, ${hint}.`,
    );
  }
  if (status === 403)
    return new CheckpointError(
      `${endpoint} does not let this access token read ${id}. Allow it to read.`,
    );
  return new CheckpointError(`${endpoint} refuses to give ${id}: status ${status}.`);
}

/** Seconds or a date, as milliseconds from now. */
function retryAfter(response: Response): number | undefined {
  const value = response.headers.get('retry-after');
  if (value === null) return undefined;
  const pause = /^\d+$/.test(value) ? 1000 * Number(value) : Date.parse(value) - Date.now();
  return Number.isFinite(pause) ? Math.max(0, pause) : undefined;
}
