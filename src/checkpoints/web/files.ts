/** Checkpoint files behind URLs, kept in the browser's cache. */
import { type Json, jsonOf } from '../configs/json.ts';
import { CheckpointError } from '../errors.ts';
import type { ByteReader } from '../safetensors/reader.ts';

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
function identity({ headers }: Response): string | undefined {
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
 * @throws CheckpointError if the server cannot be reached or does not send it.
 */
async function fetchFile(
  url: string,
  { cache: name = WEB_CACHE, onBytes, signal }: WebOptions = {},
): Promise<Blob> {
  // Pages that are not served safely, and programs outside browsers, have no cache.
  const cache = name === null ? undefined : await globalThis.caches?.open(name);
  const kept = await cache?.match(url);
  if (kept && (await isCurrent(url, kept, signal))) {
    const blob = await kept.blob();
    onBytes?.(url, blob.size, blob.size);
    return blob;
  }
  const response = await reach(url, { signal });
  const blob = await received(response, url, onBytes, signal);
  try {
    await cache?.put(url, new Response(blob, { headers: response.headers }));
    // The bytes of the kept one are on disk.
    return (await (await cache?.match(url))?.blob()) ?? blob;
  } catch {
    // A browser that has no room left for the file works without keeping it.
    await cache?.delete(url);
    return blob;
  }
}

/**
 * Whether there is a file at `url`: on the server or, if it cannot be reached, in the cache.
 */
export async function webExists(
  url: string,
  { cache = WEB_CACHE, signal }: WebOptions = {},
): Promise<boolean> {
  const response = await fetch(url, { method: 'HEAD', signal }).catch(() =>
    signal?.throwIfAborted(),
  );
  if (response) return response.ok;
  return (
    cache !== null && (await globalThis.caches?.match(url, { cacheName: cache })) !== undefined
  );
}

async function isCurrent(url: string, kept: Response, signal?: AbortSignal): Promise<boolean> {
  const now = await fetch(url, { method: 'HEAD', signal }).catch(() => signal?.throwIfAborted());
  return !now?.ok || (identity(now) !== undefined && identity(now) === identity(kept));
}

/**
 * Requests `url`.
 * @throws CheckpointError if the server cannot be reached or refuses.
 */
export async function reach(url: string, init: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, init);
  } catch (error) {
    init.signal?.throwIfAborted();
    throw new CheckpointError(
      `${url} cannot be reached. Check the address and the connection; another site has to ` +
        'allow its use here (CORS).',
      { cause: error },
    );
  }
  if (!response.ok)
    throw new CheckpointError(
      (
        `${url} cannot be downloaded: the server answers ${response.status} ` +
        `${response.statusText}.`
      ).trim(),
    );
  return response;
}

async function received(
  response: Response,
  url: string,
  onBytes: WebOptions['onBytes'],
  signal?: AbortSignal,
): Promise<Blob> {
  // With a content encoding, the length is that of the packed bytes.
  const length = response.headers.has('content-encoding')
    ? null
    : response.headers.get('content-length');
  const total = length === null ? undefined : Number(length);
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let done = 0;
  try {
    const reader = response.body!.getReader();
    for (;;) {
      const { done: ended, value } = await reader.read();
      if (ended) break;
      parts.push(value);
      done += value.length;
      onBytes?.(url, done, total);
    }
  } catch (error) {
    signal?.throwIfAborted();
    throw new CheckpointError(
      `The download of ${url} was cut off after ${done} bytes. Try again.`,
      { cause: error },
    );
  }
  return new Blob(parts);
}

/** Downloads the file at `url`, for reading at any position. */
export async function webFile(url: string, options: WebOptions = {}): Promise<ByteReader> {
  let blob: Blob | undefined = await fetchFile(url, options);
  return {
    label: url,
    size: blob.size,
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
export const webJson = async (url: string, options: WebOptions = {}): Promise<Json> =>
  jsonOf(await webFile(url, { ...options, onBytes: undefined }));
