/** What people call a model of the hub by: its name, or the address of its page. */
import { CheckpointError, quoted } from '../errors.ts';
import { hubEndpoint } from './environment.ts';

/** A model of the hub, and the revision that its address names. */
export interface HubModel {
  /** `org/name`. */
  id: string;
  revision?: string;
}

/** What may follow the name in an address. Those of data sets and spaces have other parts. */
const PAGES = ['', 'tree', 'blob', 'resolve', 'discussions', 'commits', 'commit'];

/** Whether `text` has the form of a repository's name on the hub: `org/name`. */
export function isHubId(text: string): boolean {
  return /^[\w.-]+\/[\w.-]+$/.test(text) && !/\.\.|--|(^|\/)[.-]|[.-](\/|$)/.test(text);
}

/**
 * The model that `org/name` or an address names, such as `https://huggingface.co/org/name` or
 * `https://huggingface.co/org/name/tree/main`; undefined if it names none.
 * @throws CheckpointError if it is the address of one file.
 */
export function hubModel(text: string): HubModel | undefined {
  if (isHubId(text)) return { id: text };
  const [org, name = '', kind = '', revision] = pathOnHub(text);
  const id = `${org}/${name}`;
  if (!isHubId(id) || !PAGES.includes(kind)) return undefined;
  if (kind === 'blob' || kind === 'resolve')
    throw new CheckpointError(
      `${quoted(text)} is the address of one file. Use ${id}, the name of the model, or ` +
        'download the file and pass its path.',
    );
  return kind === 'tree' && revision ? { id, revision } : { id };
}

/** A file or folder of a repository of the hub. */
export interface HubPlace extends HubModel {
  /** Its path in the repository; empty for all of it. */
  path: string;
}

/**
 * The place that `org/name/path` or an address names, such as
 * `https://huggingface.co/org/name/blob/main/path`; undefined if it names none.
 */
export function hubPlace(text: string): HubPlace | undefined {
  const found = pathOnHub(text);
  const [org, name = '', ...rest] = found[0] === '' ? text.trim().split('/') : found;
  const id = `${org}/${name}`;
  if (!isHubId(id)) return undefined;
  const isPage = found[0] !== '' && ['tree', 'blob', 'resolve'].includes(rest[0]);
  const [revision, path] = isPage ? [rest[1], rest.slice(2)] : [undefined, rest];
  return { id, revision, path: path.filter(Boolean).join('/') };
}

/** The parts of an address after that of the hub; none if it is of another site. */
function pathOnHub(text: string): string[] {
  const { endpoint } = hubEndpoint();
  const [address] = text.trim().split(/[?#]/);
  for (const hub of [endpoint, 'https://huggingface.co', 'https://www.huggingface.co', 'hf.co']) {
    const host = hub.replace(/^https?:\/\//i, '');
    const start = new RegExp(`^(https?://)?${host.replace(/[.[\]+]/g, '\\$&')}/+`, 'i').exec(
      address,
    );
    if (start) return address.slice(start[0].length).split('/').map(decoded);
  }
  const [, path = '', revision, rest = ''] =
    /^hf:\/\/([^@]+)(?:@([^/]+)(?:\/(.*))?)?/i.exec(address) ?? [];
  return revision === undefined
    ? path.split('/')
    : [...path.split('/').slice(0, 2), 'tree', revision, ...rest.split('/')];
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
