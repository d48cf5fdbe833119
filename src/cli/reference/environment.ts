/**
 * The Python of `svd reference`: an environment of its own with the pinned libraries, made once. It
 * is made beside its place and takes it when it works, so that it is whole or absent.
 */
import { createHash } from 'node:crypto';
import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { MissingTool, runTool } from '../../backends/tool.ts';
import { ownDataFolder } from '../../files/home.ts';
import { withLock } from '../../files/lock.ts';
import { makeFolder } from '../../files/makeFolder.ts';
import { withTemporary } from '../../files/writing/temporary.ts';
import { firstLineOf } from '../../text/messages.ts';
import { forLora, inPip, installWords, otherVersions, pinned, requirements } from './pinned.ts';

/** How the work is shown and stopped. */
export interface Setup {
  /** Receives a sentence about each step. */
  note: (text: string) => void;
  signal?: AbortSignal;
  /** Whether the reference has LoRA, which take a library more. */
  withLora?: boolean;
}

/** Where PyTorch's project has builds without CUDA, whose libraries take gigabytes. */
const PROCESSOR_BUILDS = 'https://download.pytorch.org/whl/cpu';
/** The oldest Python that the script and the libraries run on. */
const OLDEST = '3.11';

/** Prints the versions of the libraries in `sys.argv`, null for those that are missing. */
const PRINT_VERSIONS = `
import json, sys
if sys.version_info < (${OLDEST.replace('.', ', ')}): sys.exit('error: it is ' + sys.version.split()[0] + ', older than ${OLDEST}')
from importlib import metadata
def version(name):
    try: return metadata.version(name)
    except metadata.PackageNotFoundError: return None
print(json.dumps({name: version(name) for name in sys.argv[1:]}))
`;
const TRY = 'import accelerate, torch; from diffusers import StableVideoDiffusionPipeline';

/** The versions of the libraries that a reference needs. */
const wantedFor = ({ withLora }: Setup) => (withLora ? { ...pinned, ...forLora } : pinned);

/**
 * The environment's folder: in `$SVD_REFERENCE_DIR`, or `stable-video-diffusion-tfjs` in the user's
 * data folder, where `svd setup tensorflow` has its own.
 * @throws Error if the user has no home folder and the variable is not set.
 */
export function environmentFolder(): string {
  const root = process.env.SVD_REFERENCE_DIR || ownDataFolder();
  if (!root)
    throw new Error(
      'This user has no home folder for Python. Set SVD_REFERENCE_DIR to a folder for it.',
    );
  const list = createHash('sha256').update(requirements).digest('hex').slice(0, 8);
  return join(root, `diffusers-${pinned.diffusers}-${list}`);
}

/** The Python of an environment. */
const pythonIn = (folder: string) =>
  process.platform === 'win32' ? join(folder, 'Scripts/python.exe') : join(folder, 'bin/python');

/**
 * The path of the Python of the environment, which is made if it is not there or no longer works,
 * and gets what LoRA take when a reference has them.
 * @throws Error when a program is missing, a step fails, or another process makes it; the signal's
 * reason.
 */
export async function setUpPython(setup: Setup): Promise<string> {
  const { note, signal } = setup;
  const folder = environmentFolder();
  const root = join(folder, '..');
  const python = pythonIn(folder);
  if (await isWhole(python, setup)) return python;
  await makeFolder(root).catch((error) => {
    throw new Error(
      `${root} cannot be made (${firstLineOf(error)}). Set SVD_REFERENCE_DIR to another folder.`,
    );
  });
  const lock = `${folder}.lock`;
  const busy = (pid: number) =>
    `Another \`svd reference\` (process ${pid}) makes its Python environment. Wait until that is ` +
    `done, or remove ${lock} if there is none.`;
  await withLock(lock, busy, async () => {
    if (await isWhole(python, setup)) return; // made while this one looked
    const lacksOnlyPeft = await isWhole(python, { ...setup, withLora: false });
    await withTemporary(root, async (temporary) => {
      await mkdir(temporary);
      if (lacksOnlyPeft) return addForLora(python, temporary, setup);
      note(`makes a Python environment in ${folder}, once`);
      const made = join(temporary, 'python');
      await makeEnvironment(temporary, made, setup);
      note('tries it');
      await runTool(pythonIn(made), ['-I', '-c', TRY], { cwd: temporary, signal });
      await rm(folder, { recursive: true, force: true });
      await rename(made, folder);
    });
  });
  return python;
}

/**
 * Checks a Python of the user's own, and says where its libraries have other versions.
 * @throws Error if it cannot be run, is too old, or lacks a library.
 */
export async function checkPython(python: string, setup: Setup): Promise<void> {
  const { note, signal } = setup;
  const wanted = wantedFor(setup);
  const versions = await versionsIn(python, setup).catch((error) => {
    signal?.throwIfAborted();
    throw new Error(`--python ${python} cannot be used: ${firstLineOf(error)}`);
  });
  const missing = Object.keys(wanted).filter((name) => versions[name] === null);
  if (missing.length > 0) {
    const isForLora = missing.every((name) => name in forLora);
    const words = isForLora ? inPip(forLora) : ['-r', ...installWords(setup.withLora)];
    throw new Error(
      `--python ${python} lacks ${missing.join(', ')}${isForLora ? ', which --lora needs' : ''}. ` +
        `Run \`${python} -m pip install ${words.join(' ')}\`, or leave out --python.`,
    );
  }
  const others = otherVersions(versions as Record<string, string>, wanted);
  if (others !== undefined) note(`${python} has ${others}`);
}

async function versionsIn(python: string, setup: Setup): Promise<Record<string, string | null>> {
  const args = ['-I', '-c', PRINT_VERSIONS, ...Object.keys(wantedFor(setup))];
  return JSON.parse(await runTool(python, args, { signal: setup.signal }));
}

/** Whether the environment has every library. */
async function isWhole(python: string, setup: Setup): Promise<boolean> {
  const versions = await versionsIn(python, setup).catch(() => undefined);
  setup.signal?.throwIfAborted();
  const wanted = wantedFor(setup);
  return (
    versions !== undefined &&
    Object.keys(wanted).every((name) => typeof versions[name] === 'string') &&
    otherVersions(versions as Record<string, string>, wanted) === undefined
  );
}

/** Makes and fills an environment, with `uv` where that works, otherwise with venv and pip. */
async function makeEnvironment(workFolder: string, folder: string, setup: Setup): Promise<void> {
  const { note, signal } = setup;
  const run = runIn(workFolder, setup);
  try {
    await run('uv', 'venv', '--no-project', '--python', `>=${OLDEST}`, folder);
    await installLibraries(setup, (...args) =>
      run('uv', 'pip', 'install', '--python', pythonIn(folder), ...args),
    );
  } catch (error) {
    signal?.throwIfAborted();
    if (!(error instanceof MissingTool)) note(`does without uv: ${firstLineOf(error)}`);
    await rm(folder, { recursive: true, force: true });
    const python = await systemPython(run);
    await run(python, '-I', '-m', 'venv', folder).catch((error) => {
      throw new Error(
        `\`svd reference\` needs uv, or venv for ${python} (${firstLineOf(error)}). Install one, ` +
          'for instance by `apt-get install python3-venv`.',
      );
    });
    await installLibraries(setup, (...args) =>
      run(pythonIn(folder), '-I', '-m', 'pip', 'install', ...args),
    );
  }
}

/** Adds what LoRA take to an environment that is whole without, by uv or by its pip. */
async function addForLora(python: string, workFolder: string, setup: Setup): Promise<void> {
  const words = ['--requirement', ...installWords(true)];
  const run = runIn(workFolder, setup);
  setup.note(`installs ${inPip(forLora).join(', ')}`);
  await run('uv', 'pip', 'install', '--python', python, ...words).catch(() => {
    setup.signal?.throwIfAborted();
    return run(python, '-I', '-m', 'pip', 'install', ...words);
  });
}

type Run = (command: string, ...args: string[]) => Promise<string>;

function runIn(cwd: string, { signal }: Setup): Run {
  // A user's `user = true` for pip is not meant for environments.
  const env = { ...process.env, PIP_USER: '0' };
  return (command, ...args) => runTool(command, args, { cwd, env, signal });
}

/** The name of a Python that is new enough. */
async function systemPython(run: Run): Promise<string> {
  const refusals: string[] = [];
  for (const name of ['python3', 'python']) {
    try {
      await run(name, '-I', '-c', PRINT_VERSIONS);
      return name;
    } catch (error) {
      refusals.push(firstLineOf(error));
    }
  }
  throw new Error(
    `\`svd reference\` needs uv, or Python ${OLDEST} or newer (${refusals[0]}). Install one, or ` +
      'pass a Python by --python.',
  );
}

/** Installs the pinned libraries by `install`, which takes pip's arguments. */
async function installLibraries(
  { note, ...setup }: Setup,
  install: (...args: string[]) => Promise<string>,
): Promise<void> {
  const torch = `torch==${pinned.torch}`;
  // Elsewhere, the builds of the usual index are for processors.
  if (process.platform === 'linux') {
    note(`installs ${torch} for processors from ${PROCESSOR_BUILDS}`);
    await install('--no-deps', '--index-url', PROCESSOR_BUILDS, torch).catch((error) => {
      note(
        `that failed (${firstLineOf(error)}), so it comes from your own package index, maybe with ` +
          'the libraries of CUDA, which take gigabytes',
      );
    });
  }
  note(`installs ${Object.keys(wantedFor({ note, ...setup })).join(', ')}`);
  await install('--requirement', ...installWords(setup.withLora));
}
