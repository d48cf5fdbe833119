/** Every request that this package makes in Node. */
import type { Dispatcher, Response } from 'undici';
import { shownAddress } from '../text/addresses.ts';
import { formatFileSize } from '../text/bytes.ts';
import { environmentAgent } from './agent.ts';
import { takeCredentials } from './credentials.ts';
import { NetworkError, networkError } from './errors.ts';
import { type NetworkLimits, networkLimits } from './limits.ts';
import { Watch } from './watch.ts';

/** What a request may have. */
export interface RequestOptions {
  headers?: Record<string, string>;
  signal?: AbortSignal;
  limits?: NetworkLimits;
}

/** An answer that has begun: `await using` it. */
export interface Answer
  extends Pick<Response, 'status' | 'ok' | 'statusText' | 'headers'>,
    AsyncDisposable {
  /** The body, unpacked, as it comes. @throws NetworkError if it breaks off or is too slow. */
  parts(): AsyncGenerator<Uint8Array>;
  /** The whole body. @throws NetworkError if it is larger than the limits say, too. */
  bytes(): Promise<Uint8Array>;
}

let agent: Dispatcher | undefined;

/**
 * Asks for what is at an address, which may hold a name and a password. Proxies and certificates
 * are those of the environment.
 * @throws NetworkError if there is no answer; the signal's reason.
 */
export async function request(
  address: string,
  { headers, signal, limits = networkLimits }: RequestOptions = {},
): Promise<Answer> {
  const { url, authorization } = parsed(address);
  const undici = await import('undici');
  agent ??= environmentAgent(undici);
  const watch = new Watch(limits);
  const init = {
    headers: { 'user-agent': 'stable-video-diffusion-tfjs', ...authorization, ...headers },
    signal: signal ? AbortSignal.any([signal, watch.signal]) : watch.signal,
    dispatcher: agent,
  };
  const warn = () => console.warn(`${url.origin} does not answer yet.`);
  const silent = setTimeout(warn, limits.silence);
  try {
    return answerOf(await undici.fetch(url, init), watch, limits, signal);
  } catch (error) {
    watch.end();
    signal?.throwIfAborted();
    throw networkError(error);
  } finally {
    clearTimeout(silent);
  }
}

function answerOf(
  response: Response,
  watch: Watch,
  { mostBytes }: NetworkLimits,
  signal?: AbortSignal,
): Answer {
  const { status, ok, statusText, headers, body } = response;
  async function* parts(): AsyncGenerator<Uint8Array> {
    try {
      for await (const part of body ?? []) {
        watch.took(part.length);
        yield part;
        watch.waits();
      }
    } catch (error) {
      signal?.throwIfAborted();
      throw networkError(error);
    } finally {
      watch.end();
    }
  }
  async function bytes(): Promise<Uint8Array> {
    const found: Uint8Array[] = [];
    let size = 0;
    for await (const part of parts()) {
      found.push(part);
      size += part.length;
      if (size > mostBytes)
        throw new NetworkError(`it sends more than ${formatFileSize(mostBytes)}`, {
          passing: 'no',
        });
    }
    return new Uint8Array(Buffer.concat(found));
  }
  async function end(): Promise<void> {
    watch.end();
    await body?.cancel().catch(() => {}); // it may have failed already
  }
  return { status, ok, statusText, headers, parts, bytes, [Symbol.asyncDispose]: end };
}

/** An address, and the header for the name and the password in it. */
function parsed(address: string): { url: URL; authorization?: { authorization: string } } {
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol))
    throw new NetworkError(
      `"${shownAddress(address)}" is not an address that begins with http:// or https://`,
      { passing: 'no' },
    );
  const authorization = takeCredentials(url);
  return authorization === undefined ? { url } : { url, authorization: { authorization } };
}
