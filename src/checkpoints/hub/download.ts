/**
 * Downloads models from the hub: only the files that the pipeline reads, into the cache that
 * Python's huggingface_hub uses, too.
 */
import { join } from 'node:path';
import { shownAddress } from '../../text/addresses.ts';
import { checkOptionValues, type Kinds, kinds } from '../../text/options.ts';
import { readJson } from '../configs/jsonFile.ts';
import { configFiles } from '../diffusers/names.ts';
import { shardsOf } from '../diffusers/shards.ts';
import { CheckpointError, listed, quoted } from '../errors.ts';
import { familyByPipeline } from '../otherModels.ts';
import { type HubModel, hubModel } from './address.ts';
import type { CachedRepository } from './cache.ts';
import { soundFiles } from './compare.ts';
import { type CommitDownload, type FetchOptions, fetchFiles } from './fetchFiles.ts';
import { type AskOptions, currentCommit, fromHubOrCache } from './fromHubOrCache.ts';
import { chooseWeights, listRemoteFiles, type RemoteFiles } from './remoteFiles.ts';
import type { Origin } from './request.ts';

const INDEX = 'model_index.json';

/** Options of `downloadModel`. */
export interface DownloadOptions extends AskOptions, FetchOptions {
  /** Branch, tag or commit. Default `main`. */
  revision?: string;
  /** Stops the download; the next one continues it. */
  signal?: AbortSignal;
}

const { text, flag, list, listener, object, positive } = kinds;

/** The values of its options. */
export const downloadOptionKinds: Kinds<DownloadOptions> = {
  ...{ cacheDir: text, token: text, localFilesOnly: flag, revision: text, variant: text },
  ...{ weightsOf: list, verify: flag, onProgress: listener, signal: kinds.signal },
  ...{ pause: positive, limits: object },
};

/**
 * Downloads the files of a model that the cache lacks, and returns its folder.
 * @param model `org/name`, or the address of its page on the hub.
 * @throws Error if an option is unknown or of a wrong type.
 * @throws CheckpointError if the hub refuses or cannot be reached, files are not there, or the disk
 * is full; the signal's reason.
 */
export async function downloadModel(model: string, options: DownloadOptions = {}): Promise<string> {
  checkOptionValues('downloadModel', options, downloadOptionKinds);
  return fromHubOrCache(modelAndRevision(model, options.revision), options, {
    cached: (repository, origin) => cached(repository, origin, options),
    async fetched(repository, origin) {
      const isThere = async (commit: string) =>
        (await repository.missing(commit, options)).length === 0;
      const commit = await currentCommit(repository, origin, isThere);
      const download: CommitDownload = { repository, origin, commit, options };
      const files = async () => (await repository.filesOf(commit, options)).files;
      if (!options.verify) await removeCorrupt(repository, commit, await files(), options);
      await removeCorruptCopies(download, await files());
      if (options.verify || !(await isThere(commit))) await fetchCommit(download);
      await repository.rememberCommit(origin.revision, commit);
      return repository.snapshot(commit);
    },
  });
}

function modelAndRevision(model: string, revision?: string): Required<HubModel> {
  const found = hubModel(model);
  if (found === undefined)
    throw new CheckpointError(
      `${quoted(shownAddress(model))} is not the name of a model on the hub. Use the form org/name.`,
    );
  if (revision !== undefined && found.revision !== undefined && revision !== found.revision)
    throw new CheckpointError(
      `The address names the revision "${found.revision}", but "${revision}" is asked for. Use ` +
        'one of them.',
    );
  return { id: found.id, revision: revision ?? found.revision ?? 'main' };
}

/** The folder of what is in the cache. @throws CheckpointError with what is missing. */
async function cached(
  repository: CachedRepository,
  { id, revision }: Origin,
  options: DownloadOptions,
): Promise<string> {
  const { variant } = options;
  const commit = await repository.commit(revision);
  if (commit !== undefined) {
    const { files } = await repository.filesOf(commit, options);
    await removeCorrupt(repository, commit, files, options);
  }
  const missing = commit === undefined ? undefined : await repository.missing(commit, options);
  if (commit !== undefined && missing?.length === 0) return repository.snapshot(commit);
  const command = [
    `svd download ${id}`,
    ...(variant === undefined ? [] : [`--variant ${variant}`]),
    ...(revision === 'main' ? [] : [`--revision ${revision}`]),
  ].join(' ');
  const lacking = missing ? listed(missing, 5) : `the revision "${revision}"`;
  throw notInCache(repository, id, lacking, command);
}

/** @throws Nothing; the error of what `command` would bring, where nothing may be fetched. */
export const notInCache = (
  { folder }: CachedRepository,
  id: string,
  lacking: string,
  command: string,
): CheckpointError =>
  new CheckpointError(
    `The cache lacks ${lacking} of ${id} (${folder}), and nothing may be fetched. Run ` +
      `\`${command}\` online first.`,
  );

/**
 * Compares the weights among some files of a commit with the hashes that they are named by, once,
 * and removes those that differ, with a warning.
 */
export async function removeCorrupt(
  repository: CachedRepository,
  commit: string,
  files: string[],
  options: DownloadOptions,
): Promise<void> {
  const contents = await repository.largeContents(commit, files);
  const sound = await soundFiles(repository, contents, options);
  await repository.rememberChecked([...sound].map(({ hash }) => hash));
}

/**
 * The same for weights that are copies, whose names say nothing of their hashes: the hub does, so
 * that without it they are taken as they are.
 */
async function removeCorruptCopies(download: CommitDownload, files: string[]): Promise<void> {
  const { repository, origin, commit, options } = download;
  const keyOf = ({ path }: { path: string }) => repository.copyKey(commit, path);
  const paths: string[] = [];
  for (const path of await repository.copies(commit, files))
    if (options.verify || !(await repository.isChecked(keyOf({ path })))) paths.push(path);
  if (paths.length === 0) return;
  const remote = await listRemoteFiles(origin, commit);
  const copies = paths.filter((path) => remote.paths.includes(path)).map(remote.file);
  const sound = await soundFiles(repository, copies, options, keyOf);
  await repository.rememberChecked([...sound].map(keyOf));
}

async function fetchCommit(download: CommitDownload): Promise<void> {
  const { repository, origin, commit, options } = download;
  const remote = await listRemoteFiles(origin, commit);
  await repository.prepare(commit);
  if (remote.paths.includes(INDEX)) await checkFamily(download, remote);
  const missing = configFiles.filter((file) => !remote.paths.includes(file));
  if (missing.length > 0) {
    const ofUnet = remote.paths.includes(INDEX)
      ? ''
      : ' If it holds a UNet alone, pass it as `unet` (--unet), beside a whole model.';
    throw new CheckpointError(
      `${origin.id} lacks ${listed(missing)}: it is not a Stable Video Diffusion model in ` +
        `diffusers' format.${ofUnet}`,
    );
  }
  const weights = chooseWeights(origin.id, remote.paths, options);
  const indices = weights.filter((file) => file.endsWith('.json'));
  await fetchFiles(download, [...configFiles, ...indices].map(remote.file));
  const shards = await Promise.all(
    indices.map((file) => shardPathsOf(repository.snapshot(commit), file)),
  );
  const rest = [...weights.filter((file) => !indices.includes(file)), ...shards.flat()];
  await fetchFiles(download, rest.map(remote.file));
}

/**
 * Fetches only `model_index.json` and refuses other models by it, before their missing files are
 * reported.
 */
async function checkFamily(download: CommitDownload, remote: RemoteFiles): Promise<void> {
  const { repository, origin, commit, options } = download;
  const silent = { ...download, options: { ...options, onProgress: undefined } };
  await fetchFiles(silent, [remote.file(INDEX)]);
  const index = await readJson(join(repository.snapshot(commit), INDEX));
  const family = familyByPipeline(index._class_name);
  if (family === undefined) return;
  throw new CheckpointError(
    `${origin.id} is ${family}. Use a Stable Video Diffusion model, such as ` +
      'stabilityai/stable-video-diffusion-img2vid-xt.',
  );
}

export async function shardPathsOf(snapshot: string, index: string): Promise<string[]> {
  const folder = index.slice(0, index.lastIndexOf('/') + 1);
  return (await shardsOf(join(snapshot, index))).map((name) => folder + name);
}
