/**
 * Makes what the benchmark needs: the compiled package and, once, a Python environment with
 * diffusers and checkpoints with random weights.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** The root of the repository. The paths in cases are relative to it. */
export const root = here('..');

/** Runs a command to its end and writes its output to standard error. */
function run(command: string, args: string[], remedy: string): void {
  const { status, error } = spawnSync(command, args, {
    stdio: ['ignore', process.stderr, process.stderr],
  });
  if (status !== 0)
    throw new Error(
      `${[command, ...args].join(' ')} failed${error ? ` (${error.message})` : ''}. ${remedy}`,
    );
}

/** The compiled command. */
export const builtCommand = here('.built/src/cli/main.js');

/**
 * Compiles the package into `bench/.built`, as the published one is: a process that compiles its
 * TypeScript itself needs 0.09 GiB more.
 */
export function compilePackage(): void {
  run(
    process.execPath,
    [`${root}/node_modules/typescript/bin/tsc`, '-p', here('tsconfig.json')],
    'Run `npm ci`.',
  );
}

const venv = here('.venv');
const requirements = here('../test/reference/requirements.txt');
// Written last: an interrupted installation runs again, as does one of other versions.
const installed = `${venv}/installed.txt`;

/**
 * A Python with the reference's packages that is there already: the one in PYTHON, or the one of
 * `bench/.venv`.
 */
export function installedPython(): string | undefined {
  if (process.env.PYTHON) return process.env.PYTHON;
  const isComplete =
    existsSync(installed) && readFileSync(installed, 'utf8') === readFileSync(requirements, 'utf8');
  return isComplete ? `${venv}/bin/python` : undefined;
}

/** The same, or the one of `bench/.venv` after its installation. */
export function pythonWithDiffusers(): string {
  const found = installedPython();
  if (found) return found;
  const python = `${venv}/bin/python`;
  console.error('Installing diffusers into bench/.venv, once. Set PYTHON to use another Python.');
  run(
    'python3',
    ['-m', 'venv', venv],
    'Install Python 3.11 or newer with its venv module, or set PYTHON.',
  );
  run(
    python,
    ['-m', 'pip', 'install', '--quiet', '-r', requirements],
    'Check the network, or set PYTHON to a Python that has these packages.',
  );
  writeFileSync(installed, readFileSync(requirements));
  return python;
}

/** Whether a checkpoint is there. */
export const hasCheckpoint = (path: string) => existsSync(`${root}/${path}/model_index.json`);

/**
 * Writes a checkpoint of `bench/checkpoints` if it is missing.
 *
 * @throws Error if a checkpoint of another folder is missing.
 */
export function prepareCheckpoint(path: string, python: () => string): void {
  if (hasCheckpoint(path)) return;
  if (!path.startsWith('bench/checkpoints/')) throw new Error(`There is no checkpoint in ${path}.`);
  const small = path.endsWith('/small');
  console.error(
    `Writing a checkpoint with random weights into ${path}, ` +
      `once${small ? '' : '; it takes 4.5 GB'}.`,
  );
  const args = [
    here('../test/reference/full_checkpoint.py'),
    `${root}/${path}`,
    ...(small ? ['--small'] : []),
  ];
  run(python(), args, 'Check that the disk has room.');
}
