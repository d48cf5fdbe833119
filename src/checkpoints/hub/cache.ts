/**
 * The cache on disk in the layout of Python's huggingface_hub: contents in `blobs`, names in
 * `snapshots/COMMIT`, branches and tags in `refs`.
 */
import { randomUUID } from 'node:crypto';
import {
  copyFile,
  link,
  lstat,
  readdir,
  readFile,
  readlink,
  realpath,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { makeFolder } from '../../files/makeFolder.ts';
import {
  componentNames,
  configFiles,
  type WeightedComponent,
  weightedComponents,
  weightFileAmong,
  weightFileNames,
} from '../diffusers/names.ts';
import { shardsOf } from '../diffusers/shards.ts';
import { CheckpointError, causeOf } from '../errors.ts';
import type { RemoteFile } from './fetchBlob.ts';

/** Whether a revision is a commit, whose content never changes. */
export const isCommit = (revision: string) => /^[0-9a-f]{40}$/.test(revision);

/** A file by its path in the repository, and the hash that names its content. */
export type Content = Pick<RemoteFile, 'path' | 'hash'>;

/** Which weights of a model are wanted. */
export interface Wanted {
  /** Weight file variant, such as `fp16`. */
  variant?: string;
  /** The components whose weights are wanted. Default: all. */
  weightsOf?: readonly WeightedComponent[];
}

/** One repository in the cache. */
export class CachedRepository {
  readonly folder: string;

  constructor(cacheDir: string, id: string) {
    this.folder = join(cacheDir, `models--${id.replaceAll('/', '--')}`);
  }

  get blobs(): string {
    return join(this.folder, 'blobs');
  }

  snapshot(commit: string): string {
    return join(this.folder, 'snapshots', commit);
  }

  /** The commit that a revision was when it was last asked for. */
  async commit(revision: string): Promise<string | undefined> {
    if (isCommit(revision)) return revision;
    const text = await readFile(this.ref(revision), 'utf8').catch(() => '');
    return isCommit(text.trim()) ? text.trim() : undefined;
  }

  async rememberCommit(revision: string, commit: string): Promise<void> {
    if (isCommit(revision) || (await this.commit(revision)) === commit) return;
    const path = this.ref(revision);
    await makeFolder(dirname(path));
    await replaced(path, (temporary) => writeFile(temporary, commit));
  }

  private ref(revision: string): string {
    if (revision.split(/[/\\]/).some((part) => part === '' || part === '.' || part === '..')) {
      throw new CheckpointError(
        `"${revision}" is not a revision. Use a branch, a tag or a commit.`,
      );
    }
    return join(this.folder, 'refs', revision);
  }

  /**
   * Whether there is content of a file's hash and size. Content of another size is removed, with a
   * warning.
   */
  async has(file: Content & { size: number }): Promise<boolean> {
    const found = await stat(join(this.blobs, file.hash)).catch(() => undefined);
    if (found === undefined || found.size === file.size) return found !== undefined;
    await this.remove(
      file.path,
      join(this.blobs, file.hash),
      `it has ${found.size} bytes instead of ${file.size}`,
    );
    return false;
  }

  /** Removes what is at a place on the disk and is not what it should be. */
  async remove(path: string, at: string, why: string): Promise<void> {
    console.warn(
      `${path} is corrupt in the cache (${why}): ${at} is removed, to be fetched again.`,
    );
    await rm(at, { force: true });
  }

  /**
   * Gives content its path in a commit: by a relative link, so that the cache can be moved; by a
   * copy where links are impossible.
   */
  async name(blob: string, commit: string, file: string): Promise<void> {
    const path = join(this.snapshot(commit), file);
    const target = join(this.blobs, blob);
    const text = relative(dirname(path), target);
    if ((await readlink(path).catch(() => undefined)) === text) return;
    const existing = await lstat(path).catch(() => undefined);
    if (existing?.isFile() && existing.size === (await stat(target)).size) return;
    await makeFolder(dirname(path));
    await replaced(path, (temporary) =>
      symlink(text, temporary)
        .catch(() => link(target, temporary))
        .catch(() => copyFile(target, temporary)),
    );
  }

  /** The files of a commit that the pipeline reads and the cache lacks. */
  async missing(commit: string, wanted: Wanted): Promise<string[]> {
    const { files, missing } = await this.filesOf(commit, wanted);
    const absent = await Promise.all(
      files.map(
        async (file) => !(await stat(join(this.snapshot(commit), file)).catch(() => undefined)),
      ),
    );
    return [...missing, ...files.filter((_, i) => absent[i])].sort();
  }

  /**
   * The files of a commit that the pipeline reads, as far as their names can be known, and weights
   * that are not there.
   */
  async filesOf(
    commit: string,
    { variant, weightsOf = weightedComponents }: Wanted,
  ): Promise<{ files: string[]; missing: string[] }> {
    const folder = this.snapshot(commit);
    const files = [...configFiles];
    const missing: string[] = [];
    for (const component of weightsOf) {
      const names = await readdir(join(folder, component)).catch(() => []);
      const file = weightFileAmong(names, component, variant);
      if (file === undefined)
        missing.push(`${component}/${weightFileNames(component, variant).single}`);
      else files.push(`${component}/${file}`);
      const shards =
        file === undefined ? [] : await shardsOf(join(folder, component, file)).catch(() => []);
      files.push(...shards.map((shard) => `${component}/${shard}`));
    }
    return { files, missing };
  }

  /** The contents that some files of a commit lead to and that are named by their SHA-256. */
  async largeContents(commit: string, files: string[]): Promise<Content[]> {
    const found = new Map<string, Content>();
    for (const path of files) {
      const hash = basename(await realpath(join(this.snapshot(commit), path)).catch(() => ''));
      if ((await this.stateOf(hash)) !== '') found.set(hash, { path, hash });
    }
    return [...found.values()];
  }

  /**
   * The weights among some files of a commit that are files of their own there, no links to
   * contents, because the system has none.
   */
  async copies(commit: string, files: string[]): Promise<string[]> {
    const weights = files.filter((path) => path.endsWith('.safetensors'));
    const found = await Promise.all(
      weights.map((path) => lstat(join(this.snapshot(commit), path)).catch(() => undefined)),
    );
    return weights.filter((_, i) => found[i]?.isFile());
  }

  /** The key of a copy in the record; that of a content is its SHA-256. */
  copyKey(commit: string, path: string): string {
    return `snapshots/${commit}/${path}`;
  }

  /** Whether content, or a copy, was compared with its SHA-256 and has not changed since. */
  async isChecked(key: string): Promise<boolean> {
    const state = await this.stateOf(key);
    return state !== '' && (await this.checked())[key] === state;
  }

  /**
   * Remembers what is as it should be. Small contents are not remembered: reading them takes no
   * time.
   */
  async rememberChecked(keys: string[]): Promise<void> {
    const known = await this.checked();
    const before = JSON.stringify(known);
    for (const key of keys) {
      const state = await this.stateOf(key);
      if (state !== '') known[key] = state;
    }
    if (JSON.stringify(known) === before) return;
    try {
      await makeFolder(dirname(this.record));
      await replaced(this.record, (temporary) => writeFile(temporary, JSON.stringify(known)));
    } catch (error) {
      // A cache may be for reading only: its models can be used all the same.
      console.warn(
        `${this.record} cannot be written (${causeOf(error)}), so that every start compares ` +
          'the weights with their hashes. ' +
          'Run `svd download` once as a user who may write there.',
      );
    }
  }

  /** Beside the locks of huggingface_hub, where it takes no file for a part of a model. */
  private get record(): string {
    return join(dirname(this.folder), '.locks', basename(this.folder), 'compared-with-sha256.json');
  }

  private async checked(): Promise<Record<string, string>> {
    try {
      return Object(JSON.parse(await readFile(this.record, 'utf8')));
    } catch {
      return {}; // none yet, or broken: everything is compared anew
    }
  }

  /** Where the content, or the copy, of this key is on the disk. */
  pathOf(key: string): string {
    return key.includes('/') ? join(this.folder, key) : join(this.blobs, key);
  }

  /** A text that changes when a content, or a copy, does. Small contents have none. */
  private async stateOf(key: string): Promise<string> {
    if (!/^[0-9a-f]{64}$|\//.test(key)) return '';
    const found = await stat(this.pathOf(key)).catch(() => undefined);
    return found === undefined ? '' : `${found.size} ${Math.round(found.mtimeMs)} ${found.ino}`;
  }

  /** Makes the folders of a commit. */
  async prepare(commit: string, folders: readonly string[] = componentNames): Promise<void> {
    await makeFolder(this.blobs);
    for (const folder of folders) await makeFolder(join(this.snapshot(commit), folder));
  }
}

/** Puts what `write` makes at a path in one step. */
async function replaced(path: string, write: (temporary: string) => Promise<void>): Promise<void> {
  const temporary = `${path}.${randomUUID()}.tmp`;
  try {
    await write(temporary);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}
