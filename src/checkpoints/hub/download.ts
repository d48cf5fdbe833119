/**
 * Downloads models from the hub: only the files that the pipeline reads, into the cache that
 * Python's huggingface_hub uses, too.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type ListFileEntry, listFiles, modelInfo } from '@huggingface/hub';
import { spaceProblem } from '../../files/diskSpace.ts';
import {
  configFiles,
  variantsAmong,
  weightedComponents,
  weightFileAmong,
  weightFileNames,
} from '../diffusers/names.ts';
import { shardsOf } from '../diffusers/shards.ts';
import { CheckpointError, causeOf, listed } from '../errors.ts';
import { familyByPipeline, pickleRefusal } from '../otherModels.ts';
import { readJson } from '../safetensors/sharded.ts';
import { CachedRepository, isCommit } from './cache.ts';
import { soundContents, soundCopies } from './compare.ts';
import { type HubOptions, hubSettings } from './environment.ts';
import { bytesLeft, fetchBlob, type RemoteFile } from './fetchBlob.ts';
import { type Origin, persistentFetch, UnreachableError } from './request.ts';

const INDEX = 'model_index.json';
const FILES_AT_ONCE = 4;
/** Milliseconds between reports. */
const REPORT = 100;

/** Options of `downloadModel`. */
export interface DownloadOptions extends HubOptions {
  /** Weight file variant, such as `fp16`. */
  variant?: string;
  /** Branch, tag or commit. Default `main`. */
  revision?: string;
  /**
   * Compare everything in the cache with its hash. Downloads, and files that others have left
   * there, are compared once in any case.
   */
  verify?: boolean;
  /**
   * Called ten times a second with the bytes that have been downloaded, or compared with their
   * hashes, and with all bytes.
   */
  onProgress?: (progress: {
    stage: 'downloading' | 'comparing';
    step: number;
    steps: number;
  }) => void;
  /** Stops the download; the next one continues it. */
  signal?: AbortSignal;
  /**
   * The first pause after a failed request in milliseconds; the next ones are twice as long.
   * Default 1000.
   */
  pause?: number;
}

/** Whether `text` has the form of a repository's name on the hub: `org/name`. */
export function isHubId(text: string): boolean {
  return /^[\w.-]+\/[\w.-]+$/.test(text) && !/\.\.|--|(^|\/)[.-]|[.-](\/|$)/.test(text);
}

/**
 * Downloads the files of the model `org/name` that the cache lacks, and returns its folder.
 * @throws CheckpointError if the hub refuses or cannot be reached, files are not there, or the disk
 * is full; the signal's reason.
 */
export async function downloadModel(id: string, options: DownloadOptions = {}): Promise<string> {
  if (!isHubId(id))
    throw new CheckpointError(
      `"${id}" is not the name of a model on the hub. Use the form org/name.`,
    );
  const { endpoint, cacheDir, token, offline } = await hubSettings(options);
  const { revision = 'main', variant, signal, pause } = options;
  const repository = new CachedRepository(cacheDir, id);
  const origin: Origin = { endpoint, id, revision, token, signal, pause };
  try {
    if (offline) return await cached(repository, origin, options);
    const commit = isCommit(revision) ? revision : await commitOf(origin);
    if (!options.verify) await removeCorrupt(repository, commit, options);
    await removeCorruptCopies(repository, origin, commit, options);
    if (options.verify || (await repository.missing(commit, variant)).length > 0)
      await fetchCommit(repository, origin, commit, options);
    await repository.rememberCommit(revision, commit);
    return repository.snapshot(commit);
  } catch (error) {
    if (!(error instanceof UnreachableError)) throw systemError(error, cacheDir);
    const folder = await cached(repository, origin, options).catch(() => {
      throw error;
    });
    console.warn(`${error.message} ${id} is taken from the cache as it was last seen.`);
    return folder;
  }
}

/** The folder of what is in the cache. @throws CheckpointError with what is missing. */
async function cached(
  repository: CachedRepository,
  { id, revision }: Origin,
  options: DownloadOptions,
): Promise<string> {
  const { variant } = options;
  const commit = await repository.commit(revision);
  if (commit !== undefined) await removeCorrupt(repository, commit, options);
  const missing = commit === undefined ? undefined : await repository.missing(commit, variant);
  if (commit !== undefined && missing?.length === 0) return repository.snapshot(commit);
  const command = [
    `svd download ${id}`,
    ...(variant === undefined ? [] : [`--variant ${variant}`]),
    ...(revision === 'main' ? [] : [`--revision ${revision}`]),
  ].join(' ');
  const lacking = missing ? listed(missing, 5) : `the revision "${revision}"`;
  throw new CheckpointError(
    `The cache lacks ${lacking} of ${id} ` +
      `(${repository.folder}), and nothing may be fetched. Run \`${command}\` online first.`,
  );
}

/**
 * Compares the weights of a commit with the hashes that they are named by, once, and removes those
 * that differ, with a warning.
 */
async function removeCorrupt(
  repository: CachedRepository,
  commit: string,
  options: DownloadOptions,
): Promise<void> {
  const sound = await soundContents(
    repository,
    await repository.largeContents(commit, options.variant),
    options,
  );
  await repository.rememberChecked([...sound].map(({ hash }) => hash));
}

/**
 * The same for weights that are copies, whose names say nothing of their hashes: the hub does, so
 * that without it they are taken as they are.
 */
async function removeCorruptCopies(
  repository: CachedRepository,
  origin: Origin,
  commit: string,
  options: DownloadOptions,
): Promise<void> {
  const paths: string[] = [];
  for (const path of await repository.copies(commit, options.variant)) {
    if (options.verify || !(await repository.isChecked(repository.copyKey(commit, path))))
      paths.push(path);
  }
  if (paths.length === 0) return;
  const entries = await entriesOf(origin, commit);
  const copies = paths
    .filter((path) => entries.has(path))
    .map((path) => remoteFile(origin, commit, path, entries.get(path)));
  const sound = await soundCopies(repository, commit, copies, options);
  await repository.rememberChecked([...sound].map(({ path }) => repository.copyKey(commit, path)));
}

async function commitOf(origin: Origin): Promise<string> {
  const { endpoint, id, revision } = origin;
  const found = await modelInfo({
    name: id,
    revision,
    hubUrl: endpoint,
    additionalFields: ['sha'],
    fetch: persistentFetch(origin),
  });
  if (!isCommit(found.sha))
    throw new CheckpointError(
      `${endpoint} does not tell the commit of ${id}. Is it the address of a hub?`,
    );
  return found.sha;
}

async function fetchCommit(
  repository: CachedRepository,
  origin: Origin,
  commit: string,
  options: DownloadOptions,
): Promise<void> {
  const entries = await entriesOf(origin, commit);
  await repository.prepare(commit);
  if (entries.has(INDEX)) await checkFamily(repository, origin, commit, entries, options);
  const missing = configFiles.filter((file) => !entries.has(file));
  if (missing.length > 0) {
    throw new CheckpointError(
      `${origin.id} lacks ${listed(missing)}: it is not a Stable Video Diffusion model in ` +
        `diffusers' format.`,
    );
  }
  const weights = chooseWeights(origin.id, [...entries.keys()], options.variant);
  const indices = weights.filter((file) => file.endsWith('.json'));
  const fetch = (files: string[]) =>
    fetchFiles(
      repository,
      origin,
      commit,
      files.map((file) => remoteFile(origin, commit, file, entries.get(file))),
      options,
    );
  await fetch([...configFiles, ...indices]);
  const shards = await Promise.all(
    indices.map((file) => shardPathsOf(repository.snapshot(commit), file)),
  );
  await fetch([...weights.filter((file) => !indices.includes(file)), ...shards.flat()]);
}

/**
 * Fetches only `model_index.json` and refuses other models by it, before their missing files are
 * reported.
 */
async function checkFamily(
  repository: CachedRepository,
  origin: Origin,
  commit: string,
  entries: Map<string, ListFileEntry>,
  options: DownloadOptions,
): Promise<void> {
  await fetchFiles(
    repository,
    origin,
    commit,
    [remoteFile(origin, commit, INDEX, entries.get(INDEX))],
    {
      ...options,
      onProgress: undefined,
    },
  );
  const index = await readJson(join(repository.snapshot(commit), INDEX));
  const family = familyByPipeline(index._class_name);
  if (family === undefined) return;
  throw new CheckpointError(
    `${origin.id} is ${family}. Use a Stable Video Diffusion model, such as ` +
      'stabilityai/stable-video-diffusion-img2vid-xt.',
  );
}

async function entriesOf(origin: Origin, commit: string): Promise<Map<string, ListFileEntry>> {
  const entries = new Map<string, ListFileEntry>();
  const where = {
    repo: origin.id,
    revision: commit,
    recursive: true,
    hubUrl: origin.endpoint,
    fetch: persistentFetch(origin),
  };
  for await (const entry of listFiles(where))
    if (entry.type === 'file') entries.set(entry.path, entry);
  return entries;
}

/** The weight files of the variant, or their index files. */
function chooseWeights(id: string, paths: string[], variant?: string): string[] {
  return weightedComponents.map((component) => {
    const names = paths
      .filter((path) => path.startsWith(`${component}/`))
      .map((path) => path.slice(component.length + 1));
    const file = weightFileAmong(names, component, variant);
    if (file !== undefined) return `${component}/${file}`;
    const variants = variantsAmong(names, component).join(', ');
    const pickles = names.filter((name) => name.endsWith('.bin'));
    if (variants === '' && pickles.length > 0)
      throw new CheckpointError(pickleRefusal(`${id}/${component}/${pickles[0]}`));
    throw new CheckpointError(
      `${id} has no ${component}/${weightFileNames(component, variant).single}. ${
        variants === ''
          ? 'It has no weights in safetensors files: choose another model.'
          : `The variants there are: ${variants}. Ask for one of them.`
      }`,
    );
  });
}

async function shardPathsOf(snapshot: string, index: string): Promise<string[]> {
  const folder = index.slice(0, index.lastIndexOf('/'));
  return (await shardsOf(join(snapshot, index))).map((name) => `${folder}/${name}`);
}

function remoteFile(
  { endpoint, id }: Origin,
  commit: string,
  path: string,
  entry?: ListFileEntry,
): RemoteFile {
  if (entry === undefined)
    throw new CheckpointError(
      `${id} lacks ${path}, which its index names. Choose another revision.`,
    );
  const hash = entry.lfs?.oid ?? entry.oid ?? '';
  if (!/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(hash))
    throw new CheckpointError(`${endpoint} does not tell the hash of ${path} of ${id}.`);
  const escaped = path.split('/').map(encodeURIComponent).join('/');
  return {
    path,
    hash,
    size: entry.lfs?.size ?? entry.size,
    url: `${endpoint}/${id}/resolve/${commit}/${escaped}`,
  };
}

/**
 * Fetches the files that the cache lacks, several at a time, and gives all of them their places in
 * the commit.
 */
async function fetchFiles(
  repository: CachedRepository,
  origin: Origin,
  commit: string,
  all: RemoteFile[],
  options: DownloadOptions,
): Promise<void> {
  const { onProgress, signal } = options;
  const files: RemoteFile[] = [];
  const present: RemoteFile[] = [];
  for (const file of all) {
    // a copy needs no content
    if (await repository.isChecked(repository.copyKey(commit, file.path))) continue;
    files.push(file);
    if (await repository.has(file)) present.push(file);
  }
  const sound = await soundContents(repository, present, options);
  const toFetch = files.filter((file) => !sound.has(file));
  const names = await readdir(repository.blobs);
  const sizes = await Promise.all(
    toFetch.map(async (file) => file.size - (await bytesLeft(repository.blobs, names, file))),
  );
  const steps = sizes.reduce((sum, size) => sum + size, 0);
  const problem = await spaceProblem(repository.folder, steps, 'The download');
  if (problem)
    throw new CheckpointError(
      `${problem} Free space there, or choose another folder with --cache-dir or HF_HUB_CACHE.`,
    );

  const failed = new AbortController();
  const stoppable = {
    ...origin,
    signal: signal ? AbortSignal.any([signal, failed.signal]) : failed.signal,
  };
  let came = 0;
  let last = performance.now();
  const report = (bytes: number) => {
    came += bytes;
    if (performance.now() - last < REPORT) return;
    last = performance.now();
    onProgress?.({ stage: 'downloading', step: Math.min(Math.max(came, 0), steps), steps });
  };
  if (steps > 0) onProgress?.({ stage: 'downloading', step: 0, steps });
  const queue = [...toFetch];
  const work = async () => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      await fetchBlob(stoppable, file, repository.blobs, report);
    }
  };
  const ends = await Promise.allSettled(
    Array.from({ length: FILES_AT_ONCE }, () =>
      work().catch((error) => {
        failed.abort(error); // the others stop with the same error, and leave what they have
        throw error;
      }),
    ),
  );
  const end = ends.find((result) => result.status === 'rejected');
  if (end) throw signal?.aborted ? signal.reason : failed.signal.reason;
  if (steps > 0) onProgress?.({ stage: 'downloading', step: steps, steps });
  for (const file of files) await repository.name(file.hash, commit, file.path);
  // What has come was compared with its hash on the way, and what was copied of it is the same.
  const copies = (await repository.copies(commit, options.variant)).filter((copy) =>
    files.some(({ path }) => path === copy),
  );
  await repository.rememberChecked([
    ...files.map(({ hash }) => hash),
    ...copies.map((path) => repository.copyKey(commit, path)),
  ]);
}

/** An error of the file system as one sentence. */
function systemError(error: unknown, cacheDir: string): unknown {
  if (!(error instanceof Error && 'syscall' in error) || error instanceof CheckpointError)
    return error;
  return new CheckpointError(
    `The cache ${cacheDir} cannot be written: ${causeOf(error)}. Choose another folder by ` +
      '--cache-dir or HF_HUB_CACHE.',
    {
      cause: error,
    },
  );
}
