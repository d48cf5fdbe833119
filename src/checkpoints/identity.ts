/** Identifies checkpoints, so that a result can be traced to the bytes that made it. */
import { createHash } from 'node:crypto';
import { realpath } from 'node:fs/promises';
import { basename, dirname, join, sep } from 'node:path';
import { sha256OfFiles } from '../files/sha256.ts';
import { unreadable } from './errors.ts';
import { type OpenOptions, openCheckpoint } from './openCheckpoint.ts';

/** Names a checkpoint and the bytes that it is made of. */
export interface CheckpointIdentity {
  /** `org/name` in the cache of the hub, otherwise the name of the folder or file. */
  id: string;
  /** The commit, in the cache of the hub. */
  revision?: string;
  /**
   * SHA-256 of each file that the pipeline reads, by its path in the folder or its name, in the
   * order of the paths.
   */
  files: Record<string, string>;
  /**
   * SHA-256 of the lines that `sha256sum` prints for `files`: `cd FOLDER && sha256sum FILE... |
   * sha256sum`.
   */
  hash: string;
}

/**
 * Identifies a checkpoint: the configs and the weights of a folder, or one file. Reads every byte
 * on a thread of its own, except large files in the cache of the hub, which are named by their
 * SHA-256.
 * @throws CheckpointError if a file is missing or unreadable; the signal's reason if that aborts.
 */
export async function identifyCheckpoint(
  path: string,
  { signal, ...options }: OpenOptions & { signal?: AbortSignal } = {},
): Promise<CheckpointIdentity> {
  return (await nameCheckpoint(path, options)).hash(signal);
}

/** A checkpoint whose files are named but not read. */
export interface NamedCheckpoint {
  /** The identity with zeros for the hashes of unread files: it has the same length. */
  unhashed: CheckpointIdentity;
  /** Reads the files, for the whole identity. */
  hash(signal?: AbortSignal): Promise<CheckpointIdentity>;
}

/** @throws CheckpointError if a file is missing. */
export async function nameCheckpoint(path: string, options: OpenOptions): Promise<NamedCheckpoint> {
  const model = await openCheckpoint(path, options);
  const files = (await model.files().finally(() => model.close())).sort();
  const folder = model.format === 'original' ? dirname(path) : path;
  const targets = await Promise.all(files.map((file) => resolved(join(folder, file))));
  const named = targets.map(nameInCache);
  const name = await nameOf(path);
  const identityWith = (hashes: string[]): CheckpointIdentity => ({
    ...name,
    files: Object.fromEntries(files.map((file, i) => [file, hashes[i]])),
    hash: createHash('sha256')
      .update(files.map((file, i) => `${hashes[i]}  ${file}\n`).join(''))
      .digest('hex'),
  });
  return {
    unhashed: identityWith(named.map((hash) => hash ?? '0'.repeat(64))),
    async hash(signal) {
      const unnamed = targets.filter((_, i) => named[i] === undefined);
      const read = await sha256OfFiles(unnamed, { signal }).catch(unreadable);
      return identityWith(named.map((hash) => hash ?? read.shift()!));
    },
  };
}

const resolved = (path: string): Promise<string> => realpath(path).catch(unreadable);

/**
 * The SHA-256 in the name of a blob of the hub's cache. Small files have shorter names, which are
 * other hashes.
 */
function nameInCache(path: string): string | undefined {
  const name = basename(path);
  const isBlob =
    basename(dirname(path)) === 'blobs' && basename(dirname(dirname(path))).startsWith('models--');
  return isBlob && /^[0-9a-f]{64}$/.test(name) ? name : undefined;
}

async function nameOf(folder: string): Promise<{ id: string; revision?: string }> {
  const parts = (await resolved(folder)).split(sep);
  const [repository, snapshots, commit] = parts.slice(-3);
  if (snapshots !== 'snapshots' || !repository?.startsWith('models--'))
    return { id: parts.at(-1)! };
  return { id: repository.split('--').slice(1).join('/'), revision: commit };
}
