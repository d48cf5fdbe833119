/** Tries again as long as a failure may pass. */
import { setTimeout as sleep } from 'node:timers/promises';
import { NetworkError } from './errors.ts';
import { type NetworkLimits, networkLimits, seconds } from './limits.ts';

/** Who is asked, and how long. */
export interface Asking {
  /** The server, for messages. */
  server: string;
  signal?: AbortSignal;
  limits?: NetworkLimits;
}

/** One try. */
export interface Attempt {
  /** Aborts when the caller stops, or when it takes too long. */
  signal: AbortSignal;
  /**
   * Tells how much is there now of what the tries add to. A try that adds enough starts the
   * counting of failures anew; bytes that come in any case, the waiting.
   */
  progressed(done: number, bytes: number): void;
}

/**
 * Does `work`, and does it again after growing pauses as long as it throws a NetworkError that may
 * pass. A line on standard error tells of each pause.
 * @throws NetworkError that says why the last try failed; what else `work` throws; the signal's
 * reason.
 */
export async function persistently<T>(
  { server, signal, limits = networkLimits }: Asking,
  work: (attempt: Attempt) => Promise<T>,
): Promise<T> {
  const late = new AbortController();
  const inTime = signal ? AbortSignal.any([signal, late.signal]) : late.signal;
  const end = () => late.abort(new NetworkError(`it takes more than ${seconds(limits.patience)}`));
  const timer = setTimeout(end, limits.patience);
  let failures = 0;
  let waited = 0;
  let reached = false;
  let most = 0;
  let came = 0;
  const progressed = (done: number, bytes: number) => {
    reached = true;
    came += bytes;
    if (came >= limits.leastBytes) {
      came = 0;
      timer.refresh();
    }
    if (done < most + limits.leastBytes) return;
    most = done;
    failures = 0;
  };
  let last: NetworkError | undefined;
  try {
    for (;;) {
      try {
        return await work({ signal: inTime, progressed });
      } catch (error) {
        signal?.throwIfAborted();
        if (!(error instanceof NetworkError)) throw error;
        if (late.signal.aborted) throw last ?? error;
        last = error;
      }
      failures += 1;
      waited += last.pause ?? 0;
      const mayPass = last.passing === 'yes' || (reached && last.passing === 'if reached');
      if (!mayPass || failures >= limits.tries) throw last;
      if (waited > limits.patience) throw asksTooMuch(last);
      const pause = last.pause ?? limits.pause * 2 ** (failures - 1) * (1 + Math.random() / 4);
      console.warn(`${server}: ${last.message}. Trying again in ${seconds(pause)}.`);
      await sleep(pause, undefined, { signal: inTime }).catch(() => {
        signal?.throwIfAborted();
        throw last;
      });
      if (last.pause !== undefined) timer.refresh();
    }
  } finally {
    clearTimeout(timer);
  }
}

const asksTooMuch = (error: NetworkError) =>
  new NetworkError(`${error.message} and asks to wait ${seconds(error.pause!)}`, {
    passing: 'no',
    cause: error,
  });
