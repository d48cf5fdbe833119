/**
 * `svd setup tensorflow`: links tfjs-node with the libtensorflow of a current PyPI wheel.
 *
 * It serves CUDA 12, and machines that cannot reach the host from which tfjs-node's own install
 * script downloads libtensorflow 2.9. Everything happens in one folder of the user (folder.ts),
 * because npm would remove it from node_modules.
 */
import { existsSync } from 'node:fs';
import { rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { makeFolder } from '../../files/makeFolder.ts';
import { scriptArguments } from '../packages.ts';
import { fillFolder, removeEmptyRoot, removeFolders } from '../setup/folder.ts';
import { installPackages, type PinnedPackage, packageIn } from '../setup/packages.ts';
import { checkTools, runPython, runTool } from '../tool.ts';
import {
  type TensorflowVariant,
  tensorflowFolder,
  tensorflowVersion,
  tfjsNodeFolder,
  tfjsNodeVersion,
} from './folder.ts';
import { forgetKernelChoices } from './kernelChoices.ts';
import { requirements as pinnedRequirements } from './requirements.ts';
import { fetchTensorflow } from './wheels.ts';

/** Options of `setUpTensorflow` and `removeTensorflow`; those for webgpu take `log` alone. */
export interface SetupOptions {
  /** Link a TensorFlow with CUDA 12 and its libraries. Default: one for the processor. */
  gpu?: boolean;
  /** Receives a line about each step. */
  log?: (line: string) => void;
  /** Lines of pip's requirements file. Default: the versions and hashes that are known to work. */
  requirements?: string[];
}

const command = 'svd setup tensorflow';

async function checkMachine(): Promise<void> {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new Error(
      `\`${command}\` works on Linux on x64 processors, but this is ` +
        `${process.platform} on ${process.arch}. Try \`npm install ` +
        `@tensorflow/tfjs-node@${tfjsNodeVersion}\`, or another backend.`,
    );
  }
  await checkTools(command, ['npm', 'python3', 'g++']);
  await runPython('/', '-m', 'pip', '--version').catch(() => {
    throw new Error(
      `\`${command}\` needs pip for python3, which is not installed. Install it, for ` +
        'instance by `apt-get install python3-pip`.',
    );
  });
}

/**
 * tfjs-node and those of its dependencies that it loads, and Node's headers, which most ways of
 * installing Node leave out.
 */
const packages: PinnedPackage[] = [
  {
    name: '@tensorflow/tfjs-node',
    version: tfjsNodeVersion,
    integrity:
      'sha512-uHrXeUlfgkMxTZqHkESSV7zSdKdV0LlsBeblqkuKU9nnfxB1pC6DtoyYVaLxznzZy7WQSegjcohxxCjAf6Dc7w==',
  },
  {
    name: 'google-protobuf',
    version: '3.21.4',
    integrity:
      'sha512-MnG7N936zcKTco4Jd2PX2U96Kf9PxygAPKBug+74LHzmHXmceN16MmRcdgZv+DGef/S9YvQAfRsNCn4cjf9yyQ==',
  },
  {
    name: 'progress',
    version: '2.0.3',
    integrity:
      'sha512-7PiHtLll5LdnKIMw100I+8xJXR5gW2QwWYkT6iJva0bXitZKa/XMrSbdmg3r2Xnaidz9Qumd0VPaMrZlF9V9sA==',
  },
  {
    name: 'node-api-headers',
    version: '1.9.0',
    integrity:
      'sha512-2oNILP4jXwRB4ywnYKjVk1YyJ96n2D4EOVJO6S3oYZ5PtbJrw3Yt9TpAuX3nBLMuzn74rnfGQrv13pS9vC+YiA==',
  },
];

/** By which tfjs-node finds its addon; the package of this name brings 50 others. */
const addonFinder = `exports.find = (manifest) =>
  require('node:path').join(manifest, '../lib/napi-v8/tfjs_binding.node');
`;

async function writeAddonFinder(folder: string): Promise<void> {
  const finder = packageIn(folder, '@mapbox/node-pre-gyp');
  await makeFolder(finder);
  await writeFile(join(finder, 'index.js'), addonFinder);
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
  await makeFolder(output);
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
  return fillFolder({
    ...{ command, name: tensorflowFolder(variant), log, checkMachine },
    async fill(folder) {
      log(
        `Installing @tensorflow/tfjs-node ${tfjsNodeVersion} with npm, without its install script`,
      );
      await installPackages(folder, packages);
      await writeAddonFinder(folder);
      await fetchTensorflow(folder, requirements, log);
      log(`Compiling its addon against TensorFlow ${tensorflowVersion}`);
      await buildAddon(folder);
      log('Multiplying two matrices');
    },
    verify: (folder) => verify(folder, variant),
  });
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
  const removed = await removeFolders(variants.map(tensorflowFolder), log);
  forgetKernelChoices();
  await removeEmptyRoot();
  return removed;
}
