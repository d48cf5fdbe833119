/** Finds the packages that this package can load, and loads those of backends. */
import { existsSync, readFileSync } from 'node:fs';
import Module, { createRequire } from 'node:module';
import { cpus } from 'node:os';
import { dirname, extname, join, sep } from 'node:path';
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

type Resolve = (
  request: string,
  parent: { filename?: string } | undefined,
  ...rest: unknown[]
) => string;

/**
 * Loads the package in `folder`, which may be outside the project, with this program's
 * TensorFlow.js, so that there is one engine and one kernel registry.
 */
export function requireWithTfjs(folder: string): unknown {
  const loader = Module as unknown as { _resolveFilename: Resolve };
  const resolve = loader._resolveFilename;
  // The core is a dependency of TensorFlow.js, which not every package manager shows to others.
  const tfjs = createRequire(requireHere.resolve('@tensorflow/tfjs'));
  loader._resolveFilename = (request, parent, ...rest) => {
    const fromPackage = parent?.filename?.startsWith(folder + sep) ?? false;
    if (fromPackage && /^@tensorflow\/tfjs(-core)?(\/|$)/.test(request))
      return tfjs.resolve(request);
    return resolve.call(loader, request, parent, ...rest);
  };
  try {
    return requireHere(folder);
  } finally {
    loader._resolveFilename = resolve;
  }
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
