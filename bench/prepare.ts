/**
 * What the benchmark needs besides this package, made once: a Python environment with diffusers,
 * and checkpoints with random weights.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** The folder that paths of cases are relative to. */
export const root = here('..');

/** Runs a command to its end, with its output among our messages. */
function run(command: string, args: string[], remedy: string): void {
  const { status, error } = spawnSync(command, args, {
    stdio: ['ignore', process.stderr, process.stderr],
  });
  if (status !== 0)
    throw new Error(
      `${[command, ...args].join(' ')} failed${error ? ` (${error.message})` : ''}. ${remedy}`,
    );
}

/** The command as compiled. */
export const builtCommand = here('.built/src/cli/main.js');

/**
 * Compiles our side, as the published package is: a program that translates itself from TypeScript
 * takes 0.09 GiB more.
 */
export function compileOurs(): void {
  run(
    process.execPath,
    [`${root}/node_modules/typescript/bin/tsc`, '-p', here('tsconfig.json')],
    'Run `npm ci`.',
  );
  // the version that the command tells
  copyFileSync(here('../package.json'), here('.built/package.json'));
}

/**
 * A Python with the packages that the reference needs: the one that PYTHON names, or one in
 * `bench/.venv`.
 */
export function pythonWithDiffusers(): string {
  if (process.env.PYTHON) return process.env.PYTHON;
  const [folder, requirements] = [here('.venv'), here('../test/reference/requirements.txt')];
  const python = `${folder}/bin/python`;
  // Written last, so that an interrupted installation is taken up again, and one of other versions
  // replaced.
  const installed = `${folder}/installed.txt`;
  const wanted = readFileSync(requirements, 'utf8');
  if (existsSync(installed) && readFileSync(installed, 'utf8') === wanted) return python;
  console.error(
    'Installing diffusers into bench/.venv, once. Set PYTHON to use a Python of your own.',
  );
  run(
    'python3',
    ['-m', 'venv', folder],
    'Install Python 3.11 or newer with its venv module, or set PYTHON.',
  );
  run(
    python,
    ['-m', 'pip', 'install', '--quiet', '-r', requirements],
    'Check the network, or set PYTHON to one that has these packages.',
  );
  writeFileSync(installed, wanted);
  return python;
}

/** Makes sure that a checkpoint in `bench/checkpoints` is there, or any other exists. */
export function prepareCheckpoint(path: string, python: () => string): void {
  if (existsSync(`${root}/${path}/model_index.json`)) return;
  if (!path.startsWith('bench/checkpoints/')) throw new Error(`There is no checkpoint in ${path}.`);
  const small = path.endsWith('/small');
  console.error(
    `Writing a checkpoint with random weights into ${path}, once${small ? '' : '; it takes 4.5 GB'}.`,
  );
  const args = [
    here('../test/reference/full_checkpoint.py'),
    `${root}/${path}`,
    ...(small ? ['--small'] : []),
  ];
  run(python(), args, 'Check that the disk has room.');
}
