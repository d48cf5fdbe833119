/** Files behind URLs, read in parts by HTTP range requests. */
import { CheckpointError } from '../errors.ts';
import type { ByteReader } from '../safetensors/reader.ts';
import { reach } from './files.ts';

/**
 * Opens the file at `url` for reading at any position. Each read is one request; nothing is cached.
 * @throws CheckpointError if the server cannot be reached or does not send parts of files.
 */
export async function webRanges(url: string, signal?: AbortSignal): Promise<ByteReader> {
  const first = await request(url, 0, 1, signal);
  await first.body?.cancel();
  // Other sites hide this header unless they expose it, but never the length of the whole file.
  const range = first.headers.get('content-range') ?? '';
  const size = Number(/\/(\d+)$/.exec(range)?.[1] ?? (await lengthOf(url, signal)));
  return {
    label: url,
    size,
    async read(target, position) {
      if (target.length === 0) return;
      const response = await request(url, position, target.length, signal);
      const bytes = await response.arrayBuffer().catch(() => new ArrayBuffer(0));
      signal?.throwIfAborted();
      if (bytes.byteLength !== target.length)
        throw new CheckpointError(`The download of a part of ${url} was cut off. Try again.`);
      target.set(new Uint8Array(bytes));
    },
    close: async () => {},
  };
}

async function request(
  url: string,
  position: number,
  length: number,
  signal?: AbortSignal,
): Promise<Response> {
  const headers = { Range: `bytes=${position}-${position + length - 1}` };
  const response = await reach(url, { headers, signal });
  if (response.status === 206) return response;
  await response.body?.cancel();
  throw new CheckpointError(
    `The server of ${url} does not send parts of files (HTTP range requests), so one layer ` +
      'cannot be read by itself. Use a server that does, or load the whole model.',
  );
}

async function lengthOf(url: string, signal?: AbortSignal): Promise<string | null> {
  return (await reach(url, { method: 'HEAD', signal })).headers.get('content-length');
}
