/**
 * `svd setup tensorflow`: links tfjs-node with the libtensorflow of a current PyPI wheel.
 *
 * The way to CUDA 12, and to machines that cannot reach the host from which tfjs-node's own install
 * script downloads libtensorflow 2.9. Everything happens in one folder of the user
 * (tensorflowFolder.ts), so that npm, which would prune it from node_modules, never meets it. The
 * folder is made under another name and renamed when it is complete and works.
 */
import { existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm, rmdir, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { firstLineOf } from '../../text/messages.ts';
import { scriptArguments } from '../packages.ts';
import { MissingTool, runTool } from '../tool.ts';
import {
  type TensorflowVariant,
  tensorflowFolder,
  tensorflowRoot,
  tensorflowVersion,
  tfjsNodeFolder,
  tfjsNodeVersion,
} from './folder.ts';
import { fetchTensorflow } from './wheels.ts';

/** Options of `setUpTensorflow` and `removeTensorflow`. */
export interface SetupOptions {
  /** Link a TensorFlow with CUDA 12 and its libraries. Default: one for the processor. */
  gpu?: boolean;
  /** Receives what is done, a line at a time. */
  log?: (line: string) => void;
}

/** What is needed, how to ask for its presence, and how to get it. */
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
      `\`svd setup tensorflow\` works on Linux on x64 processors, and this is ${process.platform} on ${process.arch}. Try \`npm install @tensorflow/tfjs-node@${tfjsNodeVersion}\`, or another backend.`,
    );
  }
  for (const { name, args, remedy } of tools) {
    await runTool(name, args).catch((error) => {
      throw error instanceof MissingTool
        ? new Error(`\`svd setup tensorflow\` needs ${name}, which is not installed. ${remedy}`)
        : error;
    });
  }
  await runTool('python3', ['-m', 'pip', '--version']).catch(() => {
    throw new Error(
      '`svd setup tensorflow` needs pip for python3, which is not installed. Install it, for instance by `apt-get install python3-pip`.',
    );
  });
}

/**
 * Installs tfjs-node without its install script, and without the TensorFlow.js it would bring: it
 * gets the program's own.
 */
async function installPackages(folder: string): Promise<void> {
  const scope = dirname(tfjsNodeFolder(folder));
  const done = join(folder, 'packages');
  if (existsSync(done)) return;
  // node-api-headers: most ways of installing Node leave its headers out.
  const dependencies = { '@tensorflow/tfjs-node': tfjsNodeVersion, 'node-api-headers': '^1.5.0' };
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
 * Compiles tfjs-node's addon against the unpacked libraries. It finds them relative to itself, so
 * that the folder can be moved.
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
 * Multiplies two matrices with the tfjs-node in `folder`, in a process of its own, and gives its
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
 * Sets up the tensorflow backend for this user. Takes up where a call before was stopped; does
 * nothing when it is already set up. Needs Linux on x64, npm, python3 with pip, and g++; downloads
 * from the npm registry and the Python package index only.
 * @returns The folder that now holds it.
 * @throws One sentence with what is missing or what failed.
 */
export async function setUpTensorflow({
  gpu = false,
  log = () => {},
}: SetupOptions = {}): Promise<string> {
  const variant: TensorflowVariant = gpu ? 'gpu' : 'cpu';
  const folder = tensorflowFolder(variant);
  // One that no longer works, on another machine that shares the home folder for instance, is made
  // anew.
  const working = existsSync(folder) && (await verify(folder, variant).catch(() => undefined));
  if (working) {
    log(`Already set up in ${folder}: ${working}`);
    return folder;
  }
  await checkRequirements();
  const partial = `${folder}.partial`;
  await mkdir(partial, { recursive: true }).catch((error) => {
    throw new Error(
      `${partial} cannot be made (${firstLineOf(error)}). Set SVD_TENSORFLOW_DIR to a folder that can.`,
    );
  });
  await rm(folder, { recursive: true, force: true });
  log(`Setting up in ${folder}`);
  log(`Installing @tensorflow/tfjs-node ${tfjsNodeVersion} with npm, without its install script`);
  await installPackages(partial);
  await fetchTensorflow(partial, variant, log);
  log(`Compiling its addon against TensorFlow ${tensorflowVersion}`);
  await buildAddon(partial);
  log('Multiplying two matrices');
  const result = await verify(partial, variant);
  await rename(partial, folder);
  log(`Done: ${result}`);
  return folder;
}

/**
 * Removes what `setUpTensorflow` made, complete or not.
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
  // Fails, as it should, when something else is in it.
  await rmdir(tensorflowRoot()).catch(() => {});
  return folders;
}
