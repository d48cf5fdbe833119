/**
 * The script that makes references, and the versions of Python's libraries that it is meant for.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of both files, in the sources and in the package. */
const folder = fileURLToPath(new URL('../../verification', import.meta.url));

export const script = join(folder, 'dump_reference.py');
export const requirementsFile = join(folder, 'requirements.txt');

/** The text of the list, as pip reads it. */
export const requirements: string = readFileSync(requirementsFile, 'utf8');

/** Versions by the names of the libraries. */
export const pinned: Record<string, string> = Object.fromEntries(
  [...requirements.matchAll(/^([\w-]+)==(.+)$/gm)].map(([, name, version]) => [name, version]),
);

/** The library that references with LoRA need, too, in the same form. */
export const forLora: Record<string, string> = { peft: '0.21.2' };

/** The arguments of pip that install all libraries, after `--requirement`. */
export const installWords = (withLora = false): string[] => [
  requirementsFile,
  ...(withLora ? inPip(forLora) : []),
];

/** Libraries as pip's arguments: `peft==0.21.2`. */
export const inPip = (versions: Record<string, string>): string[] =>
  Object.entries(versions).map(([name, version]) => `${name}==${version}`);

/** A version without what tells one build from another, such as `+cpu`. */
const release = (version: string) => version.split('+')[0];

/**
 * The libraries that have another version than the wanted one, in words: `torch 2.12.0 instead of
 * 2.13.0`. Undefined if there are none.
 */
export function otherVersions(
  versions: Record<string, string>,
  wanted: Record<string, string> = pinned,
): string | undefined {
  const others = Object.entries(versions)
    .filter(([name, version]) => name in wanted && release(version) !== wanted[name])
    .map(([name, version]) => `${name} ${version} instead of ${wanted[name]}`);
  return others.length === 0 ? undefined : others.join(', ');
}
