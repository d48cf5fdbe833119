/** The files of a commit on the hub, and those of them that the pipeline reads. */
import {
  variantsAmong,
  weightedComponents,
  weightFileAmong,
  weightFileNames,
} from '../diffusers/names.ts';
import { CheckpointError } from '../errors.ts';
import { pickleRefusal } from '../otherModels.ts';
import { isCommit, type Wanted } from './cache.ts';
import type { RemoteFile } from './fetchBlob.ts';
import { askJson, type Origin, UnreachableError } from './request.ts';

/** The most pages and files that the listing of a model may have. */
const MOST_PAGES = 100;
const MOST_FILES = 100_000;

/** A file or a folder of a listing, as far as it can be relied on. */
interface Entry {
  type?: unknown;
  path?: unknown;
  oid?: unknown;
  size?: unknown;
  /** What a large file is stored as. */
  lfs?: { oid?: unknown; size?: unknown };
}

/** The commit that the revision of `origin` is now. */
export async function commitOf(origin: Origin): Promise<string> {
  const { endpoint, id, revision } = origin;
  const { value } = await askJson(
    origin,
    `${endpoint}/api/models/${id}/revision/${encodeURIComponent(revision)}?expand=sha`,
  );
  const { sha } = Object(value) as { sha?: unknown };
  if (typeof sha === 'string' && isCommit(sha)) return sha;
  throw new UnreachableError(
    `${endpoint} does not tell the commit of ${id}. Use the address of a hub.`,
  );
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
  const { endpoint, id, limits } = origin;
  const entries = new Map<string, Entry>();
  const start = performance.now();
  let page: string | undefined = `${endpoint}/api/models/${id}/tree/${commit}?recursive=true`;
  for (let pages = 0; page !== undefined; pages++) {
    const isLate = performance.now() - start > limits.patience;
    if (pages === MOST_PAGES || entries.size > MOST_FILES || isLate) throw endless(origin);
    const { value, next } = await askJson(origin, page);
    if (!isListing(value))
      throw new UnreachableError(
        `${endpoint} does not answer as a hub does. Use the address of a hub.`,
      );
    for (const entry of value) if (entry.type === 'file') entries.set(String(entry.path), entry);
    page = next;
  }
  const file = (path: string) => remoteFile(origin, commit, path, entries.get(path));
  return { paths: [...entries.keys()], file };
}

const isListing = (value: unknown): value is Entry[] =>
  Array.isArray(value) && value.every((entry) => typeof entry === 'object' && entry !== null);

const endless = ({ endpoint, id }: Origin) =>
  new CheckpointError(`${endpoint} lists the files of ${id} without end. Choose another model.`);

/** The weight files of the variant, or their index files. */
export function chooseWeights(
  id: string,
  paths: string[],
  { variant, weightsOf = weightedComponents }: Wanted,
): string[] {
  return weightsOf.map((component) => {
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
  entry?: Entry,
): RemoteFile {
  if (entry === undefined)
    throw new CheckpointError(
      `${id} lacks ${path}, which its index names. Choose another revision.`,
    );
  const hash = String(entry.lfs?.oid ?? entry.oid);
  if (!/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(hash))
    throw new CheckpointError(`${endpoint} does not tell the hash of ${path} of ${id}.`);
  const size = entry.lfs?.size ?? entry.size;
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0)
    throw new CheckpointError(`${endpoint} does not tell the size of ${path} of ${id}.`);
  const escaped = path.split('/').map(encodeURIComponent).join('/');
  return {
    path,
    hash,
    size,
    url: `${endpoint}/${id}/resolve/${commit}/${escaped}`,
  };
}
