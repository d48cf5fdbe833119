/** Identifies checkpoints, so that a result can be traced to the bytes that made it. */
import { createHash } from 'node:crypto';
import { realpath } from 'node:fs/promises';
import { basename, dirname, join, sep } from 'node:path';
import { sha256OfFiles } from '../files/sha256.ts';
import { checkPath } from '../text/options.ts';
import type { Checkpoint } from './checkpoint.ts';
import { unreadable } from './errors.ts';
import { loraFiles } from './lora/open.ts';
import { type OpenOptions, openCheckpoint } from './openCheckpoint.ts';

type Name = Pick<CheckpointIdentity, 'id' | 'revision'>;

/** Names a checkpoint and the bytes that it is made of. */
export interface CheckpointIdentity {
  /** `org/name` in the cache of the hub, otherwise the name of the folder or file. */
  id: string;
  /** The commit, in the cache of the hub. */
  revision?: string;
  /** The UNet that is used instead of the checkpoint's own: the name and commit of its file. */
  unet?: Name;
  /**
   * SHA-256 of each file that the pipeline reads, by its path in the folder or its name, in the
   * order of the paths. Files of another UNet have `unet/` before their names, those of the first
   * LoRA `lora/1/`.
   */
  files: Record<string, string>;
  /**
   * SHA-256 of the lines that `sha256sum` prints for `files`: `cd FOLDER && sha256sum FILE... |
   * sha256sum`.
   */
  hash: string;
}

/** Options of `identifyCheckpoint`. */
export interface IdentifyOptions extends OpenOptions {
  /** The paths of LoRA files that are used with it. */
  loras?: readonly string[];
  /** Stops the reading. */
  signal?: AbortSignal;
}

/**
 * Identifies a checkpoint: the configs and the weights of a folder, or one file. Reads every byte
 * on a thread of its own, except large files in the cache of the hub, which are named by their
 * SHA-256.
 * @throws CheckpointError if a file is missing or unreadable; the signal's reason if that aborts.
 */
export async function identifyCheckpoint(
  path: string,
  { signal, ...options }: IdentifyOptions = {},
): Promise<CheckpointIdentity> {
  checkPath('identifyCheckpoint', path);
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
export async function nameCheckpoint(
  path: string,
  { loras = [], ...options }: Omit<IdentifyOptions, 'signal'>,
): Promise<NamedCheckpoint> {
  const model = await openCheckpoint(path, options);
  const places = await placesOf(model).finally(() => model.close());
  for (const [i, lora] of loras.entries())
    for (const file of await loraFiles(lora)) places.set(`lora/${i + 1}/${basename(file)}`, file);
  const files = [...places.keys()].sort();
  const targets = await Promise.all(files.map((file) => resolved(places.get(file)!)));
  const named = targets.map(nameInCache);
  const unet = model.unet && (await nameOfFile(model.unet.path));
  const name = { ...(await nameOf(path)), ...(unet && { unet }) };
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

/** Where the files are that a model is read from, by their names in its identity. */
export async function placesOf(model: Checkpoint): Promise<Map<string, string>> {
  const folder = model.format === 'original' ? dirname(model.path) : model.path;
  const own = (await model.files()).map((file): [string, string] => [file, join(folder, file)]);
  const others = (await model.unet?.files()) ?? [];
  return new Map([...own, ...others.map((file) => [`unet/${basename(file)}`, file] as const)]);
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

/** A file is named within its repository, and elsewhere by its name. */
async function nameOfFile(path: string): Promise<Name> {
  const parts = (await resolved(dirname(path))).split(sep);
  const isSnapshots = (part: string, i: number) =>
    part === 'snapshots' && parts[i - 1]?.startsWith('models--');
  const commit = parts.findIndex(isSnapshots) + 1;
  if (commit === 0) return { id: basename(path) };
  const { id, revision } = await nameOf(parts.slice(0, commit + 1).join(sep));
  return { id: [id, ...parts.slice(commit + 1), basename(path)].join('/'), revision };
}

async function nameOf(folder: string): Promise<Name> {
  const parts = (await resolved(folder)).split(sep);
  const [repository, snapshots, commit] = parts.slice(-3);
  if (snapshots !== 'snapshots' || !repository?.startsWith('models--'))
    return { id: parts.at(-1)! };
  return { id: repository.split('--').slice(1).join('/'), revision: commit };
}
