/** The cache on disk in the layout of Python's huggingface_hub: contents in `blobs`, names in `snapshots/COMMIT`, branches and tags in `refs`. */
import { randomUUID } from 'node:crypto';
import {
  copyFile,
  link,
  lstat,
  mkdir,
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
import { CheckpointError } from '../errors.ts';
import { filesNamedBy } from '../filesNamedBy.ts';
import { componentNames, configFiles, weightedComponents, weightFileAmong, weightFileNames } from '../modelFiles.ts';

/** Whether a revision is a commit, whose content never changes. */
export const isCommit = (revision: string) => /^[0-9a-f]{40}$/.test(revision);

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
    await mkdir(dirname(path), { recursive: true });
    await replaced(path, (temporary) => writeFile(temporary, commit));
  }

  private ref(revision: string): string {
    if (revision.split(/[/\\]/).some((part) => part === '' || part === '.' || part === '..')) {
      throw new CheckpointError(`The revision "${revision}" can be none. Give a branch, a tag or a commit.`);
    }
    return join(this.folder, 'refs', revision);
  }

  /** Whether there is content of this name and size. Content of another size is removed, with a warning. */
  async has(blob: string, size: number): Promise<boolean> {
    const path = join(this.blobs, blob);
    const found = await stat(path).catch(() => undefined);
    if (found === undefined || found.size === size) return found !== undefined;
    await this.remove(blob, `it has ${found.size} bytes instead of ${size}`);
    return false;
  }

  /** Removes content that is not what its name says. */
  async remove(blob: string, why: string): Promise<void> {
    console.warn(`${join(this.blobs, blob)} is corrupt (${why}): it is removed from the cache, to be fetched again.`);
    await rm(join(this.blobs, blob));
  }

  /** Gives content its path in a commit: by a relative link, so that the cache can be moved; by a copy where links are impossible. */
  async name(blob: string, commit: string, file: string): Promise<void> {
    const path = join(this.snapshot(commit), file);
    const target = join(this.blobs, blob);
    const text = relative(dirname(path), target);
    if ((await readlink(path).catch(() => undefined)) === text) return;
    const existing = await lstat(path).catch(() => undefined);
    if (existing?.isFile() && existing.size === (await stat(target)).size) return;
    await mkdir(dirname(path), { recursive: true });
    await replaced(path, (temporary) =>
      symlink(text, temporary)
        .catch(() => link(target, temporary))
        .catch(() => copyFile(target, temporary)),
    );
  }

  /** What a commit lacks of the files that the pipeline reads. */
  async missing(commit: string, variant?: string): Promise<string[]> {
    const { files, missing } = await this.filesOf(commit, variant);
    const absent = await Promise.all(files.map(async (file) => !(await stat(join(this.snapshot(commit), file)).catch(() => undefined))));
    return [...missing, ...files.filter((_, i) => absent[i])].sort();
  }

  /** The files of a commit that the pipeline reads, as far as their names can be known, and weights that are not there. */
  private async filesOf(commit: string, variant?: string): Promise<{ files: string[]; missing: string[] }> {
    const folder = this.snapshot(commit);
    const files = [...configFiles];
    const missing: string[] = [];
    for (const component of weightedComponents) {
      const names = await readdir(join(folder, component)).catch(() => []);
      const file = weightFileAmong(names, component, variant);
      if (file === undefined) missing.push(`${component}/${weightFileNames(component, variant).single}`);
      else files.push(`${component}/${file}`);
      const shards = file === undefined ? [] : await filesNamedBy(join(folder, component, file)).catch(() => []);
      files.push(...shards.map((shard) => `${component}/${shard}`));
    }
    return { files, missing };
  }

  /** Contents that a commit's files lead to, which are named by their SHA-256 and have not been compared with it since they last changed. */
  async unchecked(commit: string, variant?: string): Promise<string[]> {
    const { files } = await this.filesOf(commit, variant);
    const paths = await Promise.all(files.map((file) => realpath(join(this.snapshot(commit), file)).catch(() => '')));
    const known = await this.checked();
    const found: string[] = [];
    for (const name of new Set(paths.map((path) => basename(path)))) {
      if (/^[0-9a-f]{64}$/.test(name) && known[name] !== (await this.stateOf(name))) found.push(name);
    }
    return found;
  }

  /** Remembers that contents are what their names say. */
  async rememberChecked(blobs: string[]): Promise<void> {
    if (blobs.length === 0) return;
    const known = await this.checked();
    for (const blob of blobs) known[blob] = await this.stateOf(blob);
    await mkdir(dirname(this.record), { recursive: true });
    await replaced(this.record, (temporary) => writeFile(temporary, JSON.stringify(known)));
  }

  /** Beside the locks of huggingface_hub, where it takes no file for a part of a model. */
  private get record(): string {
    return join(dirname(this.folder), '.locks', basename(this.folder), 'compared-with-sha256.json');
  }

  private async checked(): Promise<Record<string, string>> {
    return JSON.parse(await readFile(this.record, 'utf8').catch(() => '{}'));
  }

  /** What changes when content does. */
  private async stateOf(blob: string): Promise<string> {
    const found = await stat(join(this.blobs, blob)).catch(() => undefined);
    return found === undefined ? '' : `${found.size} ${Math.round(found.mtimeMs)} ${found.ino}`;
  }

  /** Makes the folders of a commit. */
  async prepare(commit: string): Promise<void> {
    await mkdir(this.blobs, { recursive: true });
    for (const component of componentNames) await mkdir(join(this.snapshot(commit), component), { recursive: true });
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
