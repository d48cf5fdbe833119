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

type Load = (
  request: string,
  parent: { filename?: string } | undefined,
  isMain: boolean,
) => unknown;

/**
 * Loads the package in `folder`, which may be outside the project, with this program's
 * TensorFlow.js, so that there is one engine and one kernel registry.
 */
export function requireWithTfjs(folder: string): unknown {
  const loader = Module as unknown as { _load: Load };
  const load = loader._load;
  const core = requireHere('@tensorflow/tfjs-core') as object;
  // What backends use of `@tensorflow/tfjs`, a package that a program need not have.
  const tfjs = { ...core, ...(requireHere('@tensorflow/tfjs-layers') as object) };
  loader._load = (request, parent, isMain) => {
    if (parent?.filename?.startsWith(folder + sep)) {
      if (request === '@tensorflow/tfjs') return tfjs;
      if (request === '@tensorflow/tfjs-core') return core;
    }
    return load(request, parent, isMain);
  };
  try {
    return requireHere(folder);
  } finally {
    loader._load = load;
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
