/** Compares files in the cache with their hashes. */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { sha256OfFiles } from '../../files/sha256.ts';
import { unreadable } from '../errors.ts';
import type { CachedRepository, Content } from './cache.ts';
import { gitHash } from './fetchBlob.ts';

/** Options of comparing. */
export interface CompareOptions {
  /** Also compare files that are known to have their hashes. */
  verify?: boolean;
  /** Called with the bytes that are read, and all bytes to read. */
  onProgress?: (progress: { stage: 'comparing'; step: number; steps: number }) => void;
  signal?: AbortSignal;
}

/**
 * Those of some contents in the cache that have their hashes. Others are removed, with a warning.
 */
export async function soundContents<T extends Content>(
  repository: CachedRepository,
  contents: T[],
  options: CompareOptions,
): Promise<Set<T>> {
  return soundFiles(
    repository,
    contents.map((content) => ({
      ...content,
      content,
      key: content.hash,
      at: join(repository.blobs, content.hash),
    })),
    options,
  );
}

/**
 * The same for files of a commit that are copies, not links to contents; `hash` is from the hub.
 */
export async function soundCopies<T extends Content>(
  repository: CachedRepository,
  commit: string,
  copies: T[],
  options: CompareOptions,
): Promise<Set<T>> {
  return soundFiles(
    repository,
    copies.map((content) => ({
      ...content,
      content,
      key: repository.copyKey(commit, content.path),
      at: join(repository.snapshot(commit), content.path),
    })),
    options,
  );
}

/** A file at a place on the disk, and the key under which it is remembered to be sound. */
interface ToCompare<T> extends Content {
  content: T;
  key: string;
  at: string;
}

async function soundFiles<T>(
  repository: CachedRepository,
  files: ToCompare<T>[],
  options: CompareOptions,
): Promise<Set<T>> {
  const sound = new Set<T>();
  const toCompare: ToCompare<T>[] = [];
  for (const file of files) {
    if (!options.verify && (await repository.isChecked(file.key))) sound.add(file.content);
    else toCompare.push(file);
  }
  const found = await hashesOf(toCompare, options);
  for (const [i, file] of toCompare.entries()) {
    if (found[i] === file.hash) sound.add(file.content);
    else await repository.remove(file.path, file.at, `its hash is ${found[i]}`);
  }
  return sound;
}

/** The hashes of files: git's for small ones if the hub uses that, or SHA-256. */
async function hashesOf(
  files: { at: string; hash: string }[],
  { onProgress, signal }: CompareOptions,
): Promise<string[]> {
  const large = files.filter(({ hash }) => hash.length === 64).map(({ at }) => at);
  const steps = (await Promise.all(large.map((path) => stat(path)))).reduce(
    (sum, { size }) => sum + size,
    0,
  );
  let step = 0;
  if (steps > 0) onProgress?.({ stage: 'comparing', step, steps });
  const onBytes = (bytes: number) => {
    step += bytes;
    onProgress?.({ stage: 'comparing', step, steps });
  };
  const read = await sha256OfFiles(large, { onBytes, signal }).catch(unreadable);
  const hashes: string[] = [];
  for (const { at, hash } of files)
    hashes.push(hash.length === 64 ? read.shift()! : gitHash(await readFile(at)));
  return hashes;
}
