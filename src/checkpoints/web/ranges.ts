/** Files behind URLs, read in parts by HTTP range requests. */
import { CheckpointError } from '../errors.ts';
import type { ByteReader } from '../safetensors/reader.ts';
import { webExists } from './files.ts';
import { headersOf, NoFileError, receive, refusePage } from './receive.ts';

/**
 * Opens the file at `url` for reading at any position. Each read is one request; nothing is cached.
 * @throws CheckpointError if the server cannot be reached or does not send parts of files.
 */
export async function webRanges(url: string, signal?: AbortSignal): Promise<ByteReader> {
  const { headers } = await readRange(url, 0, new Uint8Array(1), signal);
  // Other sites hide this header unless they expose it, but never the length of the whole file.
  const range = headers.get('content-range') ?? '';
  const size = Number(
    /\/(\d+)$/.exec(range)?.[1] ?? (await headersOf(url, signal)).get('content-length'),
  );
  return {
    label: url,
    size,
    async read(target, position) {
      if (target.length > 0) await readRange(url, position, target, signal);
    },
    close: async () => {},
  };
}

/** Fills `target` with the bytes of a file from `position` on. */
async function readRange(
  url: string,
  position: number,
  target: Uint8Array,
  signal?: AbortSignal,
): Promise<Response> {
  const headers = { Range: `bytes=${position}-${position + target.length - 1}` };
  let done = 0;
  const response = await receive(url, { headers, signal }, (part, { status }) => {
    if (status !== 206) {
      refusePage(url, part);
      throw noRanges(url);
    }
    const room = target.length - done;
    target.set(part.subarray(0, room), done);
    done += Math.min(room, part.length);
    return part.length <= room;
  }).catch(async (error: unknown) => {
    const isThere = error instanceof NoFileError && (await webExists(url, { cache: null, signal }));
    throw isThere ? noRanges(url) : error;
  });
  if (done === target.length) return response;
  throw new CheckpointError(`The download of a part of ${url} was cut off. Try again.`);
}

const noRanges = (url: string) =>
  new CheckpointError(
    `The server of ${url} does not send parts of files (HTTP range requests), so one layer ` +
      'cannot be read by itself. Use a server that does, or load the whole model.',
  );
