/**
 * `svd setup tensorflow`: links tfjs-node with the libtensorflow of a current PyPI wheel.
 *
 * It serves CUDA 12, and machines that cannot reach the host from which tfjs-node's own install
 * script downloads libtensorflow 2.9. Everything happens in one folder of the user (folder.ts),
 * because npm would remove it from node_modules. The folder is made under another name, and renamed
 * when it is complete and works.
 */
import { existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm, rmdir, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { withLock } from '../../files/lock.ts';
import { firstLineOf } from '../../text/messages.ts';
import { scriptArguments } from '../packages.ts';
import { MissingTool, runPython, runTool } from '../tool.ts';
import {
  type TensorflowVariant,
  tensorflowFolder,
  tensorflowRoot,
  tensorflowVersion,
  tfjsNodeFolder,
  tfjsNodeVersion,
} from './folder.ts';
import { forgetKernelChoices } from './kernelChoices.ts';
import { requirements as pinnedRequirements } from './requirements.ts';
import { fetchTensorflow } from './wheels.ts';

/** Options of `setUpTensorflow` and `removeTensorflow`. */
export interface SetupOptions {
  /** Link a TensorFlow with CUDA 12 and its libraries. Default: one for the processor. */
  gpu?: boolean;
  /** Receives a line about each step. */
  log?: (line: string) => void;
  /** Lines of pip's requirements file. Default: the versions and hashes that are known to work. */
  requirements?: string[];
}

/** The programs that are needed, a call that works if they are there, and how to get them. */
const tools = [
  { name: 'npm', args: ['--version'], remedy: 'It comes with Node.' },
  {
    name: 'python3',
    args: ['--version'],
    remedy: 'Install it, for instance by `apt-get install python3 python3-pip`.',
  },
  {
    name: 'g++',
    args: ['--version'],
    remedy: 'Install it, for instance by `apt-get install g++`.',
  },
];

async function checkRequirements(): Promise<void> {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new Error(
      '`svd setup tensorflow` works on Linux on x64 processors, but this is ' +
        `${process.platform} on ${process.arch}. Try \`npm install ` +
        `@tensorflow/tfjs-node@${tfjsNodeVersion}\`, or another backend.`,
    );
  }
  for (const { name, args, remedy } of tools) {
    await runTool(name, args).catch((error) => {
      throw error instanceof MissingTool
        ? new Error(`\`svd setup tensorflow\` needs ${name}, which is not installed. ${remedy}`)
        : error;
    });
  }
  await runPython('/', '-m', 'pip', '--version').catch(() => {
    throw new Error(
      '`svd setup tensorflow` needs pip for python3, which is not installed. Install it, for ' +
        'instance by `apt-get install python3-pip`.',
    );
  });
}

/**
 * Installs tfjs-node without its install script and without its own TensorFlow.js: it uses that of
 * the program.
 */
async function installPackages(folder: string): Promise<void> {
  const scope = dirname(tfjsNodeFolder(folder));
  const done = join(folder, 'packages');
  if (existsSync(done)) return;
  // node-api-headers: most ways of installing Node leave its headers out.
  const dependencies = { '@tensorflow/tfjs-node': tfjsNodeVersion, 'node-api-headers': '1.9.0' };
  await writeFile(join(folder, 'package.json'), JSON.stringify({ private: true, dependencies }));
  const flags = [
    '--ignore-scripts',
    '--no-audit',
    '--no-fund',
    '--no-package-lock',
    '--global=false',
    '--prefix',
    folder,
  ];
  await runTool('npm', ['install', ...flags], { cwd: folder });
  for (const name of await readdir(scope)) {
    if (name !== 'tfjs-node') await rm(join(scope, name), { recursive: true });
  }
  await writeFile(done, '');
}

/**
 * Compiles tfjs-node's addon against the unpacked libraries. The addon finds them relative to
 * itself, so the folder can be moved.
 */
async function buildAddon(folder: string): Promise<void> {
  const tfjsNode = tfjsNodeFolder(folder);
  const output = join(tfjsNode, 'lib', 'napi-v8');
  if (existsSync(join(output, 'tfjs_binding.node'))) return;
  const libraries = join(folder, 'site', 'tensorflow');
  await mkdir(output, { recursive: true });
  const partial = join(output, 'tfjs_binding.partial');
  await runTool('g++', [
    ...['-shared', '-fPIC', '-O2', '-std=c++17', '-DNAPI_VERSION=8'],
    ...[
      '-I',
      join(folder, 'node_modules', 'node-api-headers', 'include'),
      '-I',
      join(libraries, 'include'),
      '-I',
      dirname(tfjsNode),
    ],
    ...['tfjs_backend.cc', 'tfjs_binding.cc'].map((source) => join(tfjsNode, 'binding', source)),
    ...['-L', libraries, '-l:libtensorflow_cc.so.2', '-l:libtensorflow_framework.so.2'],
    `-Wl,-rpath,$ORIGIN/${relative(output, libraries)}`,
    ...['-o', partial],
  ]);
  await rename(partial, join(output, 'tfjs_binding.node'));
  await rm(join(libraries, 'include'), { recursive: true });
}

/**
 * Multiplies two matrices with the tfjs-node in `folder`, in a separate process, and returns its
 * version and device.
 */
async function verify(folder: string, variant: TensorflowVariant): Promise<string> {
  const printed = await runTool(process.execPath, [
    ...scriptArguments('tensorflow/check'),
    tfjsNodeFolder(folder),
    variant,
  ]);
  return printed.trim().split('\n').at(-1) ?? '';
}

/**
 * Sets up the tensorflow backend for this user. Continues where an earlier call was stopped, and
 * does nothing when it is already set up. Needs Linux on x64, npm, python3 with pip, and g++.
 * Downloads only from the npm registry and the Python package index.
 * @returns The folder that now holds it.
 * @throws When a program is missing or a step fails.
 */
export async function setUpTensorflow({
  gpu = false,
  log = () => {},
  requirements = pinnedRequirements[gpu ? 'gpu' : 'cpu'],
}: SetupOptions = {}): Promise<string> {
  const variant: TensorflowVariant = gpu ? 'gpu' : 'cpu';
  const folder = tensorflowFolder(variant);
  // A folder that no longer works, such as on another machine with the same home folder, is made
  // again.
  const working = existsSync(folder) && (await verify(folder, variant).catch(() => undefined));
  if (working) {
    log(`Already set up in ${folder}: ${working}`);
    return folder;
  }
  await checkRequirements();
  const partial = `${folder}.partial`;
  await mkdir(partial, { recursive: true }).catch((error) => {
    throw new Error(
      `${partial} cannot be made (${firstLineOf(error)}). Set SVD_TENSORFLOW_DIR to another ` +
        'folder.',
    );
  });
  const lock = `${folder}.lock`;
  const busy = (pid: number) =>
    `Another \`svd setup tensorflow\` (process ${pid}) is at work. Wait until it has ended, or ` +
    `remove ${lock} if there is none.`;
  await withLock(lock, busy, async () => {
    await rm(folder, { recursive: true, force: true });
    log(`Setting up in ${folder}`);
    log(`Installing @tensorflow/tfjs-node ${tfjsNodeVersion} with npm, without its install script`);
    await installPackages(partial);
    await fetchTensorflow(partial, requirements, log);
    log(`Compiling its addon against TensorFlow ${tensorflowVersion}`);
    await buildAddon(partial);
    log('Multiplying two matrices');
    const result = await verify(partial, variant);
    await rename(partial, folder);
    log(`Done: ${result}`);
  });
  return folder;
}

/**
 * Removes the folders of `setUpTensorflow`, complete or not.
 * @returns The folders that were removed.
 */
export async function removeTensorflow({
  gpu,
  log = () => {},
}: SetupOptions = {}): Promise<string[]> {
  const variants: TensorflowVariant[] = gpu ? ['gpu'] : ['cpu', 'gpu'];
  const folders = variants
    .flatMap((variant) => [tensorflowFolder(variant), `${tensorflowFolder(variant)}.partial`])
    .filter(existsSync);
  for (const folder of folders) {
    await rm(folder, { recursive: true });
    log(`Removed ${folder}`);
  }
  forgetKernelChoices();
  // Fails if anything else is in it, which then stays.
  await rmdir(tensorflowRoot()).catch(() => {});
  return folders;
}
