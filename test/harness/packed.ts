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

/** A copy of what the package is made of, to build and pack in, since other tests use `dist`. */
export async function copyOfPackage(): Promise<string> {
  const copy = await mkdtemp(join(tmpdir(), 'svd-packed-'));
  await cp(root, copy, {
    recursive: true,
    filter: (path) => !leftOut.test(relative(root, path)),
  });
  await symlink(join(root, 'node_modules'), join(copy, 'node_modules'));
  return copy;
}

/** Builds and packs the package. Gives the tarball's name. */
export async function packInto(folder: string): Promise<string> {
  const cwd = await copyOfPackage();
  try {
    await promisify(execFile)('npm', ['pack', '--pack-destination', folder], { cwd });
    return (await readdir(folder)).find((file) => file.endsWith('.tgz'))!;
  } finally {
    await rm(cwd, { recursive: true });
  }
}
