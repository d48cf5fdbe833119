/** The file in which choices between kernels are kept, beside what `svd setup tensorflow` makes. */
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { makeFolderSync } from '../../files/makeFolder.ts';
import type { ChoiceStore } from '../../ops/tensorflow/trials.ts';
import { processorName } from '../packages.ts';
import { setupRoot } from '../setup/folder.ts';

/** Choices by machine and library, and then by name. */
type Choices = Record<string, Record<string, unknown> | undefined>;

const pathOfFile = () => join(setupRoot(), 'kernel-choices.json');

/** What the file has. A damaged one has nothing. */
function read(): Choices {
  try {
    const parsed: unknown = JSON.parse(readFileSync(pathOfFile(), 'utf8'));
    return typeof parsed === 'object' && parsed !== null ? { ...parsed } : {};
  } catch {
    return {};
  }
}

/** Replaces the file. Where that is impossible, later processes choose again. */
function write(choices: Choices): void {
  try {
    const path = pathOfFile();
    const temporary = `${path}.${process.pid}.tmp`;
    makeFolderSync(dirname(path));
    try {
      writeFileSync(temporary, `${JSON.stringify(choices, null, 2)}\n`);
      renameSync(temporary, path);
    } finally {
      rmSync(temporary, { force: true });
    }
  } catch {
    // a folder that is read-only or missing
  }
}

/** The variables by which oneDNN is told what to use of the processor. */
const settings = () =>
  Object.entries(process.env)
    .filter(([name]) => /^(ONEDNN|DNNL)_/.test(name))
    .sort()
    .map(([name, value]) => `, ${name}=${value}`)
    .join('');

/**
 * The choices for this processor, its number of cores, a version of the libraries and oneDNN's
 * settings. With `SVD_FORGET_KERNELS=1` in the environment, they are made and kept anew.
 */
export function kernelChoices(libraries: string): ChoiceStore {
  const key = `${processorName()}, ${availableParallelism()} cores, ${libraries}${settings()}`;
  const forgets = process.env.SVD_FORGET_KERNELS === '1';
  const kept = (choices: Choices, name: string) => {
    const choice = forgets ? undefined : choices[key]?.[name];
    return typeof choice === 'boolean' || typeof choice === 'number' ? choice : undefined;
  };
  return {
    get: (name) => kept(read(), name),
    keep(name, choice) {
      const choices = read();
      const first = kept(choices, name);
      if (first !== undefined) return first;
      write({ ...choices, [key]: { ...choices[key], [name]: choice } });
      return choice;
    },
  };
}

/** Removes the choices of all machines and versions. */
export function forgetKernelChoices(): void {
  rmSync(pathOfFile(), { force: true });
}
