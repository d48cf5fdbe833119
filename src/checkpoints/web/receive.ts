/** Requests for files behind URLs, as browsers make them. */
import { networkLimits } from '../../network/limits.ts';
import { Watch } from '../../network/watch.ts';
import { CheckpointError } from '../errors.ts';

/** The server has no such file: it refuses, or answers with a web page instead. */
export class NoFileError extends CheckpointError {}

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
  take: (part: Part, response: Response) => boolean,
  limits = networkLimits,
): Promise<Response> {
  const watch = new Watch(limits);
  const stop = signal ? AbortSignal.any([signal, watch.signal]) : watch.signal;
  try {
    const response = await reach(url, { ...init, signal: stop });
    await readParts(response, url, (part) => {
      watch.took(part.length);
      const goOn = take(part, response);
      watch.waits();
      return goOn;
    });
    return response;
  } catch (error) {
    signal?.throwIfAborted();
    if (!watch.signal.aborted) throw error;
    throw new CheckpointError(`${url} is too slow: ${watch.signal.reason.message}. Try again.`, {
      cause: error,
    });
  } finally {
    watch.end();
  }
}

/** The headers of a file, without the file. @throws As `receive`. */
export async function headersOf(url: string, signal?: AbortSignal): Promise<Headers> {
  const ask = (method: string) => receive(url, { method, signal }, () => false);
  const { headers } = await ask('HEAD').catch((error: unknown) => {
    if (error instanceof NoFileError) return ask('GET'); // some servers refuse HEAD
    throw error;
  });
  return headers;
}

async function readParts(
  { body }: Response,
  url: string,
  take: (part: Part) => boolean,
): Promise<void> {
  const reader = body?.getReader();
  let came = 0;
  try {
    for (;;) {
      const part = await reader?.read().catch((error: unknown) => {
        throw new CheckpointError(
          `The download of ${url} was cut off after ${came} bytes. Try again.`,
          { cause: error },
        );
      });
      if (!part?.value) return;
      came += part.value.length;
      if (!take(part.value)) return;
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
    throw new CheckpointError(
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
