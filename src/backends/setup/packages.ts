/** Packages of npm in a folder of their own. */
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runTool } from '../tool.ts';

/** A package of npm with the hash of its archive, which npm checks. */
export interface PinnedPackage {
  name: string;
  version: string;
  /** SHA-512. */
  integrity: string;
}

/** The folder of a package of `installPackages`. */
export const packageIn = (folder: string, name: string): string =>
  join(folder, 'node_modules', ...name.split('/'));

/**
 * Puts packages, without those that they depend on, into `folder/node_modules`, and runs none of
 * their scripts. A second call does nothing.
 * npm asks the registry, and through the proxy, that the user has told it of.
 * @throws Error if a package cannot be had or is not the pinned one; MissingTool without npm.
 */
export async function installPackages(folder: string, packages: PinnedPackage[]): Promise<void> {
  const done = join(folder, 'packages');
  if (existsSync(done)) return;
  const dependencies = Object.fromEntries(packages.map(({ name, version }) => [name, version]));
  const locked = packages.map(
    ({ name, ...pinned }) => [`node_modules/${name}`, pinned] as [string, object],
  );
  const lock = {
    ...{ lockfileVersion: 3, requires: true },
    packages: { '': { dependencies }, ...Object.fromEntries(locked) },
  };
  await writeFile(join(folder, 'package.json'), JSON.stringify({ private: true, dependencies }));
  await writeFile(join(folder, 'package-lock.json'), JSON.stringify(lock));
  const here = ['--global=false', '--package-lock', '--prefix', folder];
  const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', ...here];
  await runTool('npm', args, { cwd: folder });
  await writeFile(done, '');
}
