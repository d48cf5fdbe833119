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
import { type Origin, persistentFetch } from './request.ts';

/** The commit that the revision of `origin` is now. */
export async function commitOf(origin: Origin): Promise<string> {
  const { endpoint: hubUrl, id: name, revision } = origin;
  const additionalFields: ['sha'] = ['sha'];
  const fetch = persistentFetch(origin);
  const found = await modelInfo({ name, revision, hubUrl, additionalFields, fetch });
  if (!isCommit(found.sha))
    throw new CheckpointError(
      `${hubUrl} does not tell the commit of ${name}. Is it the address of a hub?`,
    );
  return found.sha;
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

export async function listRemoteFiles(origin: Origin, commit: string): Promise<RemoteFiles> {
  const entries = new Map<string, ListFileEntry>();
  const where = {
    ...{ repo: origin.id, revision: commit, recursive: true },
    ...{ hubUrl: origin.endpoint, fetch: persistentFetch(origin) },
  };
  for await (const entry of listFiles(where))
    if (entry.type === 'file') entries.set(entry.path, entry);
  const file = (path: string) => remoteFile(origin, commit, path, entries.get(path));
  return { paths: [...entries.keys()], file };
}

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
