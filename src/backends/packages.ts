/** Finds the packages that this package can load, without loading them. */
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { cpus } from 'node:os';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A `require` that resolves as this package does. */
export const requireHere = createRequire(import.meta.url);

/** The folder of an installed package, or undefined when it is not installed. */
export function folderOf(packageName: string): string | undefined {
  for (const root of requireHere.resolve.paths(packageName) ?? []) {
    const folder = join(root, packageName);
    if (existsSync(join(folder, 'package.json'))) return folder;
  }
  return undefined;
}

/** The version that a package's folder states. */
export function versionIn(folder: string): string {
  return (JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { version: string })
    .version;
}

/**
 * The arguments with which Node runs a script of this folder, built or from its source. A source
 * needs what loads TypeScript into this process, too.
 */
export function scriptArguments(name: string): string[] {
  const here = fileURLToPath(import.meta.url);
  const script = join(dirname(here), name + extname(here));
  return extname(here) === '.ts' ? [...process.execArgv, script] : [script];
}

/** The processor's name, from the operating system. */
export function processorName(): string {
  return cpus()[0]?.model.trim() || process.arch;
}
