/** Checkpoint files behind URLs, kept in the browser's cache. */
import { networkLimits } from '../../network/limits.ts';
import { formatFileSize } from '../../text/bytes.ts';
import { type Json, jsonOf } from '../configs/json.ts';
import { CheckpointError } from '../errors.ts';
import type { ByteReader } from '../safetensors/reader.ts';
import { headersOf, NoFileError, receive, refusePage } from './receive.ts';

/** The cache that files are kept in. */
const WEB_CACHE = 'stable-video-diffusion-tfjs';

/** Options of reading from URLs. */
export interface WebOptions {
  /**
   * Name of the browser's cache in which whole files are kept; `null` keeps nothing. Default
   * `stable-video-diffusion-tfjs`.
   */
  cache?: string | null;
  /**
   * Called with the bytes of a file downloaded so far and its size, if the server sends it. Files
   * in the cache are complete at once.
   */
  onBytes?: (url: string, done: number, total: number | undefined) => void;
  /** Stops downloads; the promise rejects with the signal's reason. */
  signal?: AbortSignal;
}

/**
 * The headers of a response that tell whether a kept file is the one that the server has now, if
 * the server sends such headers.
 */
function identity(headers: Headers): string | undefined {
  // Without one of these, another file of the same length, such as other weights of the same model,
  // would pass for the kept one.
  if (!headers.has('etag') && !headers.has('last-modified')) return undefined;
  return ['etag', 'last-modified', 'content-length']
    .map((name) => headers.get(name) ?? '')
    .join('|');
}

/**
 * The content of the file at `url`: from the cache if the server still has the same one or cannot
 * be reached, else downloaded.
 * @throws CheckpointError if the server cannot be reached, does not send it, or is too slow.
 */
async function fetchFile(
  url: string,
  { cache: name = WEB_CACHE, onBytes, signal }: WebOptions = {},
  most = Number.POSITIVE_INFINITY,
): Promise<Blob> {
  // Pages that are not served safely, and programs outside browsers, have no cache.
  const cache =
    name === null ? undefined : await unlessRefused(() => globalThis.caches?.open(name));
  const kept = await unlessRefused(() => cache?.match(url));
  const old = await unlessRefused(() => kept?.blob());
  const isOld = old && (await isCurrent(url, kept!, signal));
  const fresh = isOld
    ? undefined
    : await download(url, { onBytes, signal }, most).catch((error: unknown) => {
        // A network that wants a login first answers with its page.
        if (!old || !(error instanceof NoFileError)) throw error;
      });
  if (!fresh) {
    onBytes?.(url, old!.size, old!.size);
    return old!;
  }
  const { blob, headers } = fresh;
  const stored = await unlessRefused(async () => {
    await cache?.put(url, new Response(blob, { headers }));
    return (await cache?.match(url))?.blob();
  });
  // The bytes of the stored one are on disk. A browser that has no room left for the file works
  // without keeping it.
  if (!stored) await unlessRefused(() => cache?.delete(url));
  return stored ?? blob;
}

/** What the browser's storage gives. In a sandboxed frame, the mere mention of it throws. */
async function unlessRefused<T>(work: () => Promise<T> | undefined): Promise<T | undefined> {
  try {
    return await work();
  } catch {
    return undefined;
  }
}

/**
 * Whether there is a file at `url`: on the server or, if it cannot be reached, in the cache. Only
 * what the server sends tells, because many send their page, with status 200, for every address
 * that they do not know, and some refuse to send the headers alone.
 */
export async function webExists(
  url: string,
  { cache = WEB_CACHE, signal }: WebOptions = {},
): Promise<boolean> {
  try {
    await receive(url, { signal }, (start) => {
      refusePage(url, start);
      return false;
    });
    return true;
  } catch (error) {
    if (error instanceof NoFileError) return false;
    const kept = unlessRefused(() => globalThis.caches?.match(url, { cacheName: cache ?? '' }));
    if (cache !== null && (await kept)) return true;
    throw error;
  }
}

async function isCurrent(url: string, kept: Response, signal?: AbortSignal): Promise<boolean> {
  const now = await headersOf(url, signal).catch(() => signal?.throwIfAborted());
  return !now || (identity(now) !== undefined && identity(now) === identity(kept.headers));
}

/** @throws CheckpointError if more than `most` bytes come, or too few, too. */
async function download(
  url: string,
  { onBytes, signal }: WebOptions,
  most: number,
): Promise<{ blob: Blob; headers: Headers }> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let done = 0;
  const { headers } = await receive(url, { signal }, (part, response) => {
    if (done === 0) refusePage(url, part);
    parts.push(part);
    done += part.length;
    if (done > most) throw new CheckpointError(`${url} is larger than ${formatFileSize(most)}.`);
    onBytes?.(url, done, totalOf(response));
    return true;
  });
  return { blob: new Blob(parts), headers };
}

/** The size of a file that the server tells. */
function totalOf({ headers }: Response): number | undefined {
  // With a content encoding, the length is that of the packed bytes.
  const length = headers.has('content-encoding') ? null : headers.get('content-length');
  return length === null ? undefined : Number(length);
}

/** The same as `webFile`; undefined if the server has no such file. */
export async function findWebFile(
  url: string,
  options: WebOptions = {},
): Promise<ByteReader | undefined> {
  try {
    return await webFile(url, options);
  } catch (error) {
    if (error instanceof NoFileError) return undefined;
    throw error;
  }
}

/** Downloads the file at `url`, for reading at any position. */
export const webFile = async (url: string, options: WebOptions = {}): Promise<ByteReader> =>
  readerOf(url, await fetchFile(url, options));

function readerOf(url: string, content: Blob): ByteReader {
  let blob: Blob | undefined = content;
  return {
    label: url,
    size: content.size,
    async read(target, position) {
      if (!blob) throw new CheckpointError(`Cannot read ${url}: it has been closed.`);
      const part = blob.slice(position, position + target.length);
      target.set(new Uint8Array(await part.arrayBuffer()));
    },
    async close() {
      blob = undefined;
    },
  };
}

/** A JSON object behind a URL. */
export async function webJson(url: string, options: WebOptions = {}): Promise<Json> {
  const web = { ...options, onBytes: undefined };
  return jsonOf(readerOf(url, await fetchFile(url, web, networkLimits.mostBytes)));
}
