/** Downloads a file of a repository into the cache, continues it, and checks its hash. */
import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { NetworkError } from '../../network/errors.ts';
import type { Answer } from '../../network/request.ts';
import { CheckpointError, causeOf } from '../errors.ts';
import { claimPartial, finishPartial, releasePartial } from './incomplete.ts';
import { askHub, type Origin, withHub } from './request.ts';

/** A file of a repository. Its hash is the name of its content in the cache. */
export interface RemoteFile {
  /** Path in the repository. */
  path: string;
  url: string;
  size: number;
  /** SHA-256 of a large file, or git's SHA-1 of a small one. */
  hash: string;
}

/**
 * Fetches a file into the folder of contents. `onBytes` is called with the bytes that have come,
 * and with a negative number when bytes were wrong.
 * @throws CheckpointError if the server refuses, the file has another hash twice, or the disk is
 * full; what has come stays for the next time.
 */
export async function fetchBlob(
  origin: Origin,
  file: RemoteFile,
  folder: string,
  onBytes: (bytes: number) => void,
): Promise<void> {
  for (let wrong = 0; ; wrong++) {
    const path = await claimPartial(folder, file.hash);
    let came = 0;
    const count = (bytes: number) => {
      came += bytes;
      onBytes(bytes);
    };
    let digest: string;
    try {
      digest = await fetchRest(origin, file, path, count);
    } catch (error) {
      await releasePartial(folder, file.hash, path);
      throw error;
    }
    if (digest === file.hash) {
      await rename(path, join(folder, file.hash));
      await finishPartial(folder, file.hash, path);
      return;
    }
    await rm(path);
    await finishPartial(folder, file.hash, path);
    onBytes(-came);
    if (wrong === 1) {
      throw new CheckpointError(
        `${file.path} of ${origin.id} has come with wrong bytes twice (its hash is ${digest} ` +
          `instead of ${file.hash}). Try again later or over another network.`,
      );
    }
    console.warn(`${file.path} has come with wrong bytes: it is fetched again.`);
  }
}

/** The bytes of a file that an interrupted attempt has left. */
export async function bytesLeft(
  folder: string,
  names: string[],
  { hash, size }: RemoteFile,
): Promise<number> {
  const sizes = names
    .filter((name) => name.startsWith(`${hash}.`) && name.endsWith('.incomplete'))
    .map(async (name) => (await stat(join(folder, name)).catch(() => ({ size: 0 }))).size);
  const most = Math.max(0, ...(await Promise.all(sizes)));
  return most > size ? 0 : most;
}

/** Completes the file at `path` and returns its hash. */
async function fetchRest(
  origin: Origin,
  file: RemoteFile,
  path: string,
  onBytes: (bytes: number) => void,
): Promise<string> {
  let hash = newHash(file);
  let done = 0;
  const before = (await stat(path).catch(() => undefined))?.size ?? 0;
  if (before > file.size) await rm(path);
  else if (before > 0) done = await hashOf(path, hash, origin.signal);
  let output = await openForWriting(path);
  try {
    await withHub(origin, async ({ signal, progressed }) => {
      if (done === file.size) return;
      const from = done;
      const headers = { range: `bytes=${from}-`, 'accept-encoding': 'identity' };
      await using answer = await askHub(origin, file.url, signal, headers);
      if (from > 0 && !continues(answer, from)) {
        const length = answer.headers.get('content-length') ?? file.size;
        if (Number(length) !== file.size) throw new NetworkError('it sends another file');
        // The server does not know ranges. Another file, because a process that took this one over
        // may have finished it.
        await output.close();
        await rm(path);
        output = await openForWriting(path);
        onBytes(-done);
        hash = newHash(file);
        done = 0;
      }
      for await (const part of answer.parts()) {
        if (done + part.length > file.size)
          throw new CheckpointError(
            `${file.url} is larger than the ${file.size} bytes it is listed with.`,
          );
        await write(output, part, done, path);
        hash.update(part);
        done += part.length;
        onBytes(part.length);
        progressed(done, part.length);
      }
      if (done < file.size) throw new NetworkError('the connection was cut');
    });
    // not every file system can; the hash is checked in any case
    await output.datasync().catch(() => {});
    return hash.digest('hex');
  } finally {
    await output.close();
  }
}

function newHash({ hash, size }: RemoteFile): Hash {
  return hash.length === 64 ? createHash('sha256') : newGitHash(size);
}

/** Git hashes a file with its size before it. */
function newGitHash(size: number): Hash {
  return createHash('sha1').update(`blob ${size}\0`);
}

/** The hash by which git names a file of this content. */
export function gitHash(content: Uint8Array): string {
  return newGitHash(content.length).update(content).digest('hex');
}

async function hashOf(path: string, hash: Hash, signal?: AbortSignal): Promise<number> {
  let size = 0;
  for await (const part of createReadStream(path, { highWaterMark: 2 ** 20, signal })) {
    hash.update(part);
    size += part.length;
  }
  return size;
}

async function openForWriting(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r+').catch(() => open(path, 'w'));
  } catch (error) {
    throw new CheckpointError(
      `${path} cannot be written: ${causeOf(error)}. Choose another folder by --cache-dir or ` +
        'HF_HUB_CACHE.',
    );
  }
}

/** Whether an answer goes on where the file ends. */
function continues({ status, headers }: Answer, from: number): boolean {
  return status === 206 && new RegExp(`^bytes ${from}-`).test(headers.get('content-range') ?? '');
}

async function write(
  file: FileHandle,
  part: Uint8Array,
  position: number,
  path: string,
): Promise<void> {
  try {
    let done = 0;
    while (done < part.length)
      done += (await file.write(part, done, part.length - done, position + done)).bytesWritten;
  } catch (error) {
    throw new CheckpointError(
      `${path} cannot be written: ${causeOf(error)}. Free space there, or choose another ` +
        'folder by --cache-dir or HF_HUB_CACHE; what has come stays.',
      { cause: error },
    );
  }
}
