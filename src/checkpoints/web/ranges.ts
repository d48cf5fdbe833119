/** Files behind URLs, read in parts by HTTP range requests. */
import { CheckpointError } from '../errors.ts';
import type { ByteReader } from '../safetensors/reader.ts';
import {
  CutOffError,
  headOf,
  NoFileError,
  receive,
  refusePage,
  startOf,
  whileMoreComes,
} from './receive.ts';
import { isSame, type Version, versionOf } from './version.ts';

/** The server sends whole files only. */
export class NoRangesError extends CheckpointError {}

/** What can be read at any position, without a copy of it all in memory. */
export interface Content {
  readonly size: number;
  read(target: Uint8Array, position: number): Promise<void>;
}

/** Opens what stays open for others. */
export function readerOf(url: string, content: Content): ByteReader {
  let closed = false;
  return {
    label: url,
    size: content.size,
    async read(target, position) {
      if (closed) throw new CheckpointError(`Cannot read ${url}: it has been closed.`);
      await content.read(target, position);
    },
    async close() {
      closed = true;
    },
  };
}

/** Bytes between two tensors that are read with them rather than by another request. */
const GAP = 2 ** 14;

interface Wanted {
  target: Uint8Array;
  position: number;
  resolve(): void;
  reject(error: unknown): void;
}

/**
 * The file at `url`, as it is now, for reading at any position. What is asked for at the same time
 * and lies side by side comes in one answer. Nothing is kept. Reading is an error once the file has
 * changed on the server.
 * @param onBytes Called with the bytes that have been read in all.
 * @throws CheckpointError if the server cannot be reached; NoRangesError if it does not send parts
 * of files.
 */
export async function webRanges(
  url: string,
  { signal, onBytes }: { signal?: AbortSignal; onBytes?: (bytes: number) => void } = {},
): Promise<Content> {
  const first = await readRange(url, 0, [new Uint8Array(1)], { signal });
  let version = versionOf(first);
  // Other sites hide the header with the size unless they expose it, but never the length of the
  // whole file.
  if (version.size === undefined)
    version = { ...versionOf(await headOf(url, signal)), ...defined(version) };
  const { size } = version;
  if (size === undefined) throw noRanges(url);
  let read = 0;
  let wanted: Wanted[] = [];
  const flush = () => {
    const requests = joined(wanted);
    wanted = [];
    for (const request of requests) void fill(request);
  };
  async function fill(request: Wanted[]): Promise<void> {
    try {
      const [{ position }] = request;
      await readRange(url, position, targetsOf(request), { version, signal });
      for (const { target } of request) read += target.length;
      onBytes?.(read);
      for (const { resolve } of request) resolve();
    } catch (error) {
      for (const { reject } of request) reject(error);
    }
  }
  return {
    size,
    read: (target, position) =>
      new Promise((resolve, reject) => {
        if (target.length === 0) return resolve();
        if (wanted.length === 0) queueMicrotask(flush);
        wanted.push({ target, position, resolve, reject });
      }),
  };
}

const defined = (version: Version): Version =>
  Object.fromEntries(Object.entries(version).filter(([, value]) => value !== undefined));

/** What is wanted, as requests for what lies side by side. */
function joined(wanted: Wanted[]): Wanted[][] {
  const requests: Wanted[][] = [];
  let end = Number.NEGATIVE_INFINITY;
  for (const one of [...wanted].sort((a, b) => a.position - b.position)) {
    if (one.position < end || one.position > end + GAP) requests.push([]);
    requests.at(-1)!.push(one);
    end = one.position + one.target.length;
  }
  return requests;
}

/** The memory that one answer fills, with some for the gaps. */
function targetsOf(request: Wanted[]): Uint8Array[] {
  let end = request[0]!.position;
  return request.flatMap(({ target, position }) => {
    const gap = new Uint8Array(position - end);
    end = position + target.length;
    return [gap, target];
  });
}

/** What is read, and how. */
interface RangeOptions {
  /** The version that it has to be of. */
  version?: Version;
  signal?: AbortSignal;
}

/** Fills all `targets` with the bytes of a file from `position` on. */
async function readRange(
  url: string,
  position: number,
  targets: Uint8Array[],
  { version, signal }: RangeOptions,
): Promise<Response> {
  const length = targets.reduce((sum, target) => sum + target.length, 0);
  let done = 0;
  const rest = async () => {
    const headers = { Range: `bytes=${position + done}-${position + length - 1}` };
    const response = await receive(url, { headers, signal }, (part, response) => {
      if (response.status !== 206) {
        refusePage(url, part);
        throw noRanges(url);
      }
      if (version && isSame(version, versionOf(response)) === false) throw changed(url);
      scatter(targets, done, part.subarray(0, length - done));
      done = Math.min(length, done + part.length);
      return done < length;
    });
    if (done < length)
      throw new CutOffError(`The download of a part of ${url} was cut off. Try again.`);
    return response;
  };
  const tries = { came: () => done, wasReached: version !== undefined, signal };
  return whileMoreComes(rest, tries).catch(async (error: unknown) => {
    const isRefused = error instanceof NoFileError && error.status !== undefined;
    if (!isRefused || !(await startOf(url, signal).catch(() => undefined))) throw error;
    throw noRanges(url);
  });
}

/** Writes `bytes` to where `targets`, one after the other, have their byte `from`. */
export function scatter(targets: Uint8Array[], from: number, bytes: Uint8Array): void {
  let start = 0;
  let written = 0;
  for (const target of targets) {
    const at = from + written - start;
    if (written < bytes.length && at < target.length) {
      const piece = bytes.subarray(written, written + target.length - at);
      target.set(piece, at);
      written += piece.length;
    }
    start += target.length;
  }
}

const noRanges = (url: string) =>
  new NoRangesError(
    `The server of ${url} does not send parts of files (HTTP range requests), so one layer ` +
      'cannot be read by itself. Use a server that does, or load the whole model.',
  );

export const changed = (url: string) =>
  new CheckpointError(
    `${url} has changed on the server since it was opened. Load the model again.`,
  );
