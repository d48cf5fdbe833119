/** Finds a UNet by what the user calls it: a file, a folder, or a place on the hub. */
import { readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { existingPath } from '../../files/existingPath.ts';
import { pickOptions } from '../../text/options.ts';
import { components, weightedComponents } from '../diffusers/names.ts';
import { CheckpointError, quoted } from '../errors.ts';
import { type HubPlace, hubPlace } from '../hub/address.ts';
import type { CachedRepository } from '../hub/cache.ts';
import {
  type DownloadOptions,
  downloadOptionKinds,
  notInCache,
  removeCorrupt,
  shardPathsOf,
} from '../hub/download.ts';
import { type CommitDownload, fetchFiles } from '../hub/fetchFiles.ts';
import { currentCommit, fromHubOrCache } from '../hub/fromHubOrCache.ts';
import { isAddress, isFolder, isOfHub, locateModel } from '../hub/locate.ts';
import { listRemoteFiles } from '../hub/remoteFiles.ts';
import type { Origin } from '../hub/request.ts';
import { chooseUnet } from './choose.ts';
import { openUnet } from './open.ts';

/** What is looked for. */
export interface Sought {
  /** Names it in messages. */
  noun: 'UNet' | 'LoRA';
  /** The option of commands that names it. */
  option: string;
  /** The file that belongs to its weights, beside them. */
  config: string;
  /** Which of the files of a folder or repository it is. */
  choose: typeof chooseUnet;
}

const THE_UNET: Sought = {
  ...{ noun: 'UNet', option: '--unet', config: components.unet.config, choose: chooseUnet },
};

/**
 * The place on the hub that a UNet or LoRA is named by, if it is no file or folder here. Where there
 * is a folder `org`, `org/name` is a path.
 */
export async function placeOnHub(name: string): Promise<HubPlace | undefined> {
  if (isAddress(name)) return hubPlace(name);
  const isThere = await stat(await existingPath(name)).catch(() => undefined);
  const isFile = /^[^/]+\/[^/]+\.safetensors$/i.test(name);
  if (isThere || isFile || (await isFolder(name.split('/')[0]))) return undefined;
  return hubPlace(name);
}

/**
 * The path of a UNet, which is brought into the cache first if it is of the hub.
 * @param unet A path; `org/name`, `org/name/path`, or such an address of the hub.
 * @param options Those of `downloadModel`. `revision` is that of the model, not of the UNet.
 * @throws CheckpointError if there is none, or several that could be meant, and like
 * `downloadModel`; the signal's reason.
 */
export const locateUnet = (unet: string, options: DownloadOptions = {}): Promise<string> =>
  locateWeights(unet, options, THE_UNET);

/** As `locateUnet`, for whatever is sought. */
export async function locateWeights(
  name: string,
  options: DownloadOptions,
  sought: Sought,
): Promise<string> {
  const place = await placeOnHub(name);
  if (place !== undefined) {
    return downloadUnet(place, options, sought).catch((error) => {
      if (!(error instanceof CheckpointError) || isAddress(name)) throw error;
      const message = `${error.message} There is no file or folder ${quoted(name)} here either.`;
      throw new CheckpointError(message, { cause: error });
    });
  }
  const path = await existingPath(name);
  if (await stat(path).catch(() => undefined)) return path;
  throw new CheckpointError(
    `Cannot open the ${sought.noun} ${quoted(name)}: it does not exist. Use the path of a weight file or ` +
      'folder, or org/name or org/name/file of the hub.',
  );
}

/** The components whose weights are still read of a model whose UNet is replaced. */
export const besideUnet = weightedComponents.filter((component) => component !== 'unet');

/**
 * The weight file of a UNet, or the index of several.
 * @throws CheckpointError as `locateUnet` does, and if it is of another model.
 */
export async function findUnet(unet: string, options: DownloadOptions): Promise<string> {
  return (await openUnet(await locateUnet(unet, options), options.variant)).path;
}

/** Where a model is, and the UNet that replaces its own. */
export interface Located {
  /** The folder or file of the model. */
  path: string;
  /** The weight file of the UNet, or the index of several. */
  unet?: string;
}

/**
 * The paths of a model and of the UNet that replaces its own, both brought into the cache first if
 * they are of the hub. The weights of its own are not fetched.
 * @throws CheckpointError as `locateModel` and `locateUnet` do, and if the UNet is of another model.
 */
export async function locateWithUnet(
  model: string,
  unet: string | undefined,
  options: DownloadOptions = {},
): Promise<Located> {
  if (unet === undefined) return { path: await locateModel(model, options) };
  const { revision, ...forBoth } = pickOptions(options, downloadOptionKinds);
  // before the model, of which more has to be fetched
  const found = await findUnet(unet, forBoth);
  const { token, cacheDir, localFilesOnly, ...others } = forBoth;
  const isForUnet = (await placeOnHub(unet)) !== undefined && !(await isOfHub(model));
  const forModel = { ...(isForUnet ? others : forBoth), revision };
  return { path: await locateModel(model, { ...forModel, weightsOf: besideUnet }), unet: found };
}

function downloadUnet(place: HubPlace, options: DownloadOptions, sought: Sought): Promise<string> {
  const { id, revision = 'main', path } = place;
  const { variant } = options;
  const inCache = async (repository: CachedRepository, commit: string) => {
    const folder = repository.snapshot(commit);
    const file = sought.choose({ label: id, paths: await filesBelow(folder) }, path, variant);
    const shards = await shardPathsOf(folder, file);
    return [file, ...shards];
  };
  return fromHubOrCache({ id, revision }, options, {
    async cached(repository) {
      const commit = await repository.commit(revision);
      const there = commit ? await filesBelow(repository.snapshot(commit)).catch(() => []) : [];
      const isMeant = (file: string) => file.startsWith(path) && !file.endsWith('config.json');
      if (!commit || !there.some(isMeant)) throw missing(repository, place, sought);
      const files = await inCache(repository, commit);
      await removeCorrupt(repository, commit, files, options);
      for (const file of files) {
        const whole = join(repository.snapshot(commit), file);
        if (!(await stat(whole).catch(() => undefined))) throw missing(repository, place, sought);
      }
      return join(repository.snapshot(commit), files[0]);
    },
    async fetched(repository, origin) {
      const isThere = (commit: string) =>
        inCache(repository, commit).then(
          () => true,
          () => false,
        );
      const commit = await currentCommit(repository, origin, isThere);
      const file = await fetchUnet({ repository, origin, commit, options }, place, sought);
      await repository.rememberCommit(revision, commit);
      return file;
    },
  });
}

/** Fetches the weight file, the shards that it names, and the config beside it. */
async function fetchUnet(
  download: CommitDownload & { origin: Origin },
  { id, path }: HubPlace,
  { choose, config: name }: Sought,
): Promise<string> {
  const { repository, origin, commit, options } = download;
  const remote = await listRemoteFiles(origin, commit);
  const file = choose({ label: id, paths: remote.paths.filter(isPlain) }, path, options.variant);
  const config = file.slice(0, file.lastIndexOf('/') + 1) + name;
  const folder = repository.snapshot(commit);
  await repository.prepare(commit, [dirname(file)]);
  const first = remote.paths.includes(config) ? [config, file] : [file];
  await fetchFiles(download, first.map(remote.file));
  const shards = await shardPathsOf(folder, file);
  await fetchFiles(download, shards.map(remote.file));
  return join(folder, file);
}

/** Whether a path in a repository leads nowhere else. */
const isPlain = (path: string) => !/^\/|[\\\p{Cc}]|(^|\/)\.{0,2}(\/|$)/u.test(path);

/** The paths of the files below a folder of the cache, which has no links to folders. */
async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => !entry.isDirectory())
    .map(({ parentPath, name }) => join(parentPath, name).slice(folder.length + 1))
    .sort();
}

const missing = (repository: CachedRepository, { id, path }: HubPlace, { noun, option }: Sought) =>
  notInCache(
    repository,
    id,
    path === '' ? `the ${noun}` : path,
    `svd download MODEL ${option} ${[id, path].filter(Boolean).join('/')}`,
  );
