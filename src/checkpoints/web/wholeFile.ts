/** Files of servers that send whole files only, and files that are held in memory. */
import { formatFileSize } from '../../text/bytes.ts';
import { CheckpointError } from '../errors.ts';
import { type Content, changed, scatter } from './ranges.ts';
import { CutOffError, receive, refusePage } from './receive.ts';
import { isSame, type Version, versionOf } from './version.ts';

/** Weights that a browser holds in memory if there is no other way. */
const MOST_IN_MEMORY = 2 ** 31;

/** How a file is brought, as `WebOptions` say it. */
interface Bringing {
  onBytes?: (url: string, done: number, total: number | undefined) => void;
  signal?: AbortSignal;
}

/** Reads of the beginning of a file that do not bring all of it: enough for the header. */
const LOOKS = 2;

/** All of a file, and the version that it is of. */
type Whole = Content & { version: Version };

/**
 * The file at `url`, of which `bring` brings all, once something is read of it besides its header.
 * @throws CheckpointError if what has come is of another version.
 */
export function afterLooks(
  url: string,
  version: Version,
  bring: () => Promise<Whole>,
  signal?: AbortSignal,
): Content {
  let looks = 0;
  let whole: Promise<Whole> | undefined;
  const brought = async () => {
    const content = await bring();
    if (isSame(version, { ...content.version, size: content.size }) === false) throw changed(url);
    return content;
  };
  return {
    size: version.size!,
    async read(target, position) {
      if (looks++ < LOOKS) return readBeginning(url, version, target, position, signal);
      whole ??= brought();
      whole.catch(() => {
        whole = undefined;
      });
      return (await whole).read(target, position);
    },
  };
}

/** Reads bytes of a file, and all before them. */
async function readBeginning(
  url: string,
  version: Version,
  target: Uint8Array,
  position: number,
  signal?: AbortSignal,
): Promise<void> {
  const end = position + target.length;
  const before = new Uint8Array(position);
  let done = 0;
  await receive(url, { signal }, (part, response) => {
    if (done === 0) refusePage(url, part);
    if (isSame(version, versionOf(response)) === false) throw changed(url);
    scatter([before, target], done, part.subarray(0, end - done));
    done += part.length;
    return done < end;
  });
  if (done < end) throw new CutOffError(`${url} was cut off after ${done} bytes. Try again.`);
}

/** @throws CheckpointError if a file of `size` bytes is too large to be held in memory. */
export function checkInMemory(url: string, size: number): void {
  if (size <= MOST_IN_MEMORY) return;
  throw new CheckpointError(
    `The server of ${url} does not send parts of files (HTTP range requests), and this browser ` +
      `has no storage for its ${formatFileSize(size)}, nor memory. Use a server that sends parts ` +
      'of files, or a window that is not private.',
  );
}

/** All of a file, in memory. @throws As `inMemory`. */
export async function allOf(url: string, options: Bringing): Promise<Whole> {
  const { content, response } = await inMemory(url, options, MOST_IN_MEMORY);
  return {
    size: content.size,
    version: versionOf(response),
    async read(target, position) {
      const part = await content.slice(position, position + target.length).arrayBuffer();
      if (part.byteLength < target.length)
        throw new CheckpointError(`${url} ends too early. Load the model again.`);
      target.set(new Uint8Array(part));
    },
  };
}

/** @throws CheckpointError if more than `most` bytes come, or too few, too. */
export async function inMemory(
  url: string,
  { onBytes, signal }: Bringing,
  most: number,
): Promise<{ content: Blob; response: Response }> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let done = 0;
  const response = await receive(url, { signal }, (part, response) => {
    if (done === 0) refusePage(url, part);
    parts.push(part);
    done += part.length;
    if (done > most) throw new CheckpointError(`${url} is larger than ${formatFileSize(most)}.`);
    onBytes?.(url, done, versionOf(response).size);
    return true;
  });
  return { content: new Blob(parts), response };
}
