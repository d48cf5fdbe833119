/** Requests for files behind URLs, as browsers make them. */
import { networkLimits } from '../../network/limits.ts';
import { Watch } from '../../network/watch.ts';
import { CheckpointError } from '../errors.ts';

/** The server has no such file: it refuses, or answers with a web page instead. */
export class NoFileError extends CheckpointError {
  /** What the server refuses with. */
  readonly status?: number;

  constructor(message: string, status?: number) {
    super(message);
    this.status = status;
  }
}

/** What came ended too soon, or was too slow: more may come at the next try. */
export class CutOffError extends CheckpointError {}

type Init = Omit<RequestInit, 'signal'> & { signal?: AbortSignal };
type Part = Uint8Array<ArrayBuffer>;

/**
 * Requests `url` and gives each part of the answer to `take`, until that returns false.
 * @throws CheckpointError if the server cannot be reached, refuses, cuts the answer off or is too
 * slow; what `take` throws; the signal's reason.
 */
export async function receive(
  url: string,
  { signal, ...init }: Init,
  take: (part: Part, response: Response) => boolean | Promise<boolean>,
  limits = networkLimits,
): Promise<Response> {
  const watch = new Watch(limits);
  const stop = signal ? AbortSignal.any([signal, watch.signal]) : watch.signal;
  try {
    const response = await reach(url, { ...init, signal: stop });
    await readParts(response, url, async (part) => {
      watch.took(part.length);
      const goOn = await take(part, response);
      watch.waits();
      return goOn;
    });
    return response;
  } catch (error) {
    signal?.throwIfAborted();
    if (!watch.signal.aborted) throw error;
    throw new CutOffError(`${url} is too slow: ${watch.signal.reason.message}. Try again.`, {
      cause: error,
    });
  } finally {
    watch.end();
  }
}

/** What a server answers for a file, without the file. @throws As `receive`. */
export async function headOf(url: string, signal?: AbortSignal): Promise<Response> {
  return receive(url, { method: 'HEAD', signal }, () => false).catch((error: unknown) => {
    if (error instanceof NoFileError) return startOf(url, signal); // some servers refuse HEAD
    throw error;
  });
}

/** The same, and looks at its first bytes. @throws As `receive`; NoFileError if they are a page. */
export const startOf = (url: string, signal?: AbortSignal): Promise<Response> =>
  receive(url, { signal }, (start) => {
    refusePage(url, start);
    return false;
  });

/** How often, and after which pauses in milliseconds, what was cut off is tried again. */
const PAUSES = [500, 1000, 2000, 4000, 8000];

/** What tries add to. */
export interface Tries {
  /** How much has come. */
  came(): number;
  /** Whether the server has answered before: one that was never reached is not tried again. */
  wasReached?: boolean;
  signal?: AbortSignal;
  pauses?: readonly number[];
}

/** Does `work` again after it was cut off, and begins to count the tries anew when more has come. */
export async function whileMoreComes<T>(
  work: () => Promise<T>,
  { came, wasReached = false, signal, pauses = PAUSES }: Tries,
): Promise<T> {
  for (let failures = 0, before = came(); ; failures++) {
    try {
      return await work();
    } catch (error) {
      if (came() > before) failures = 0;
      before = came();
      const mayPass = error instanceof CutOffError && (wasReached || before > 0);
      if (!mayPass || failures >= pauses.length) throw error;
      await new Promise((resolve) => {
        setTimeout(resolve, pauses[failures]);
        signal?.addEventListener('abort', resolve, { once: true });
      });
      signal?.throwIfAborted();
    }
  }
}

async function readParts(
  { body }: Response,
  url: string,
  take: (part: Part) => Promise<boolean>,
): Promise<void> {
  const reader = body?.getReader();
  let came = 0;
  try {
    for (;;) {
      const part = await reader?.read().catch((error: unknown) => {
        throw new CutOffError(
          `The download of ${url} was cut off after ${came} bytes. Try again.`,
          { cause: error },
        );
      });
      if (!part?.value) return;
      came += part.value.length;
      if (!(await take(part.value))) return;
    }
  } finally {
    await reader?.cancel().catch(() => {}); // what is left of it
  }
}

/**
 * Requests `url`.
 * @throws CheckpointError if the server cannot be reached or refuses.
 */
async function reach(url: string, init: RequestInit): Promise<Response> {
  const response = await fetch(url, init).catch((error: unknown) => {
    init.signal?.throwIfAborted();
    throw new CutOffError(
      `${url} cannot be reached. Check the address and the connection; another site has to ` +
        'allow its use here (CORS).',
      { cause: error },
    );
  });
  if (response.ok) return response;
  await response.body?.cancel();
  const { status, statusText } = response;
  throw new NoFileError(
    `${`${url} cannot be downloaded: the server answers ${status} ${statusText}`.trim()}.`,
    status,
  );
}

/** @throws NoFileError if a file begins as a web page does. */
export function refusePage(url: string, start: Uint8Array): void {
  const text = new TextDecoder().decode(start.subarray(0, 256));
  if (/^\s*<(!doctype html|html)/i.test(text))
    throw new NoFileError(
      `${url} cannot be downloaded: the server answers with a web page instead.`,
    );
}
