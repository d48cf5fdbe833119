/** The package as npm packs it. */
import { execFile } from 'node:child_process';
import { cp, mkdtemp, readdir, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const root = fileURLToPath(new URL('../..', import.meta.url));
/** What is not in the package, or made anew. */
const leftOut =
  /^(\.git|node_modules|dist|out|test|bench|docs\/api|weights\/(?!tiny$|README)[^/]+)$/;

/** Builds and packs a copy, since other tests use `dist` meanwhile. Gives the tarball's name. */
export async function packInto(folder: string): Promise<string> {
  const copy = await mkdtemp(join(tmpdir(), 'svd-packed-'));
  try {
    const filter = (path: string) => !leftOut.test(relative(root, path));
    await cp(root, copy, { recursive: true, filter });
    await symlink(join(root, 'node_modules'), join(copy, 'node_modules'));
    await promisify(execFile)('npm', ['pack', '--pack-destination', folder], { cwd: copy });
    return (await readdir(folder)).find((file) => file.endsWith('.tgz'))!;
  } finally {
    await rm(copy, { recursive: true });
  }
}

/** Quietly, and without waiting long for a network that is not there. */
const quick = ['--prefer-offline', '--no-audit', '--no-fund', '--fetch-retries=0'];

/**
 * Packs the package and installs it into a folder, with other packages. Gives the tarball's name, or
 * undefined without a network to install from.
 */
export async function installPacked(folder: string, ...others: string[]) {
  const tarball = await packInto(folder);
  return (await installInto(folder, `./${tarball}`, ...others)) ? tarball : undefined;
}

/** Whether packages could be installed into a folder. */
export async function installInto(folder: string, ...packages: string[]): Promise<boolean> {
  try {
    await promisify(execFile)('npm', ['install', ...packages, ...quick], { cwd: folder });
    return true;
  } catch (error) {
    // There is nothing to install from without a network. Any other error is the package's.
    const { stderr } = error as { stderr: string };
    if (/npm error code E(NOTFOUND|AI_AGAIN|CONN\w+|TIMEDOUT)/.test(stderr)) return false;
    throw error;
  }
}
