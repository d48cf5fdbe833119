/** Compares files in the cache with their hashes. */
import { readFile, stat } from 'node:fs/promises';
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
 * Those of some files in the cache that have their hashes. Others are removed, with a warning.
 * @param keyOf The key of a file in the cache. Default: that of its content.
 */
export async function soundFiles<T extends Content>(
  repository: CachedRepository,
  files: T[],
  options: CompareOptions,
  keyOf = ({ hash }: T): string => hash,
): Promise<Set<T>> {
  const sound = new Set<T>();
  const toCompare: (Content & { file: T; at: string })[] = [];
  for (const file of files) {
    const key = keyOf(file);
    if (!options.verify && (await repository.isChecked(key))) sound.add(file);
    else toCompare.push({ ...file, file, at: repository.pathOf(key) });
  }
  const found = await hashesOf(toCompare, options);
  for (const [i, { file, path, hash, at }] of toCompare.entries()) {
    if (found[i] === hash) sound.add(file);
    else await repository.remove(path, at, `its hash is ${found[i]}`);
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
