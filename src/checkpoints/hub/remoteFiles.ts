/** The files of a commit on the hub, and those of them that the pipeline reads. */
import { type ListFileEntry, listFiles, modelInfo } from '@huggingface/hub';
import {
  variantsAmong,
  weightedComponents,
  weightFileAmong,
  weightFileNames,
} from '../diffusers/names.ts';
import { CheckpointError } from '../errors.ts';
import { pickleRefusal } from '../otherModels.ts';
import { isCommit } from './cache.ts';
import type { RemoteFile } from './fetchBlob.ts';
import { fetchJson, type Origin, UnreachableError, understood } from './request.ts';

/** The most pages and files that the listing of a model may have. */
const MOST_PAGES = 100;
const MOST_FILES = 100_000;

/** The commit that the revision of `origin` is now. */
export async function commitOf(origin: Origin): Promise<string> {
  const { endpoint: hubUrl, id: name, revision } = origin;
  const additionalFields: ['sha'] = ['sha'];
  const fetch = fetchJson(origin);
  const { sha } = await understood(origin, () =>
    modelInfo({ name, revision, hubUrl, additionalFields, fetch }),
  );
  if (!isCommit(sha))
    throw new UnreachableError(
      `${hubUrl} does not tell the commit of ${name}. Use the address of a hub.`,
    );
  return sha;
}

/** The files of a commit on the hub. */
export interface RemoteFiles {
  paths: string[];
  /**
   * What fetching a file takes.
   * @throws CheckpointError if the hub does not have it or does not tell its hash.
   */
  file(path: string): RemoteFile;
}

/** @throws CheckpointError if the listing does not end; otherwise as `commitOf`. */
export async function listRemoteFiles(origin: Origin, commit: string): Promise<RemoteFiles> {
  const entries = new Map<string, ListFileEntry>();
  const fetch = pagesOf(origin);
  const { id: repo, endpoint: hubUrl } = origin;
  const where = { repo, revision: commit, recursive: true, hubUrl, fetch };
  await understood(origin, async () => {
    for await (const entry of listFiles(where)) {
      if (entry.type === 'file') entries.set(String(entry.path), entry);
      if (entries.size > MOST_FILES) throw endless(origin);
    }
  });
  const file = (path: string) => remoteFile(origin, commit, path, entries.get(path));
  return { paths: [...entries.keys()], file };
}

/** Fetches the pages of a listing, which has an end. */
function pagesOf(origin: Origin): typeof globalThis.fetch {
  const fetch = fetchJson(origin);
  const { patience } = origin.limits;
  const start = performance.now();
  let pages = 0;
  return (url) => {
    if (++pages > MOST_PAGES || performance.now() - start > patience) throw endless(origin);
    return fetch(url);
  };
}

const endless = ({ endpoint, id }: Origin) =>
  new CheckpointError(`${endpoint} lists the files of ${id} without end. Choose another model.`);

/** The weight files of the variant, or their index files. */
export function chooseWeights(id: string, paths: string[], variant?: string): string[] {
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
  const hash = String(entry.lfs?.oid ?? entry.oid);
  if (!/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(hash))
    throw new CheckpointError(`${endpoint} does not tell the hash of ${path} of ${id}.`);
  const size = entry.lfs?.size ?? entry.size;
  if (!Number.isSafeInteger(size) || size < 0)
    throw new CheckpointError(`${endpoint} does not tell the size of ${path} of ${id}.`);
  const escaped = path.split('/').map(encodeURIComponent).join('/');
  return {
    path,
    hash,
    size,
    url: `${endpoint}/${id}/resolve/${commit}/${escaped}`,
  };
}
