/** Packs this package once for all tests of a process, and installs it as npm does. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { cp, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

export const run = promisify(execFile);
export const root = fileURLToPath(new URL('../..', import.meta.url));
export const NAME = 'stable-video-diffusion-tfjs';

/** What npm says of a packed package. */
export interface Packed {
  /** The path of the tarball. */
  tarball: string;
  /** Bytes of the tarball. */
  size: number;
  files: { path: string }[];
}

/** What is not in the package, or made anew. */
const leftOut =
  /^(\.git|node_modules|dist|out|docs\/api|bench\/(checkpoints|\..+)|weights\/(?!tiny$|README)[^/]+)$/;

let packed: Promise<Packed> | undefined;

/** Builds and packs the package, at the first call. The process removes the tarball at its end. */
export function pack(): Promise<Packed> {
  packed ??= packCopy();
  return packed;
}

/** Packs a copy, since other tests use `dist` meanwhile. */
async function packCopy(): Promise<Packed> {
  const folder = mkdtempSync(join(tmpdir(), 'svd-pack-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  const copy = join(folder, 'copy');
  const filter = (path: string) => !leftOut.test(relative(root, path));
  await cp(root, copy, { recursive: true, filter });
  await symlink(join(root, 'node_modules'), join(copy, 'node_modules'));
  await run('npm', ['run', 'build'], { cwd: copy });
  const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', folder];
  const [{ filename, size, files }] = JSON.parse((await run('npm', args, { cwd: copy })).stdout);
  await rm(copy, { recursive: true });
  return { tarball: join(folder, filename), size, files };
}

/** npm's options for an installation that says little and does not wait for a network. */
export const quick = ['--prefer-offline', '--no-audit', '--no-fund', '--fetch-retries=0'];

/** An empty folder that has the packed package; undefined without a network to install from. */
export async function projectWith(...flags: string[]): Promise<string | undefined> {
  const { tarball } = await pack();
  const folder = await mkdtemp(join(tmpdir(), 'svd-project-'));
  try {
    await run('npm', ['install', tarball, ...flags, ...quick], { cwd: folder });
    return folder;
  } catch (error) {
    await rm(folder, { recursive: true });
    if (isWithoutNetwork(error)) return undefined;
    throw error; // any other error is the package's
  }
}

/** Whether an error of npm says that there is no network to install from. */
export const isWithoutNetwork = (error: unknown): boolean =>
  /npm error code E(NOTFOUND|AI_AGAIN|CONN\w+|TIMEDOUT)/.test((error as { stderr: string }).stderr);
