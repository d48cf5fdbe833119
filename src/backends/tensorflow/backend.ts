/**
 * The tensorflow backend: tfjs-node over libtensorflow, from npm or set up by `svd setup
 * tensorflow`.
 */
import { existsSync, readdirSync } from 'node:fs';
import Module from 'node:module';
import { join, sep } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import type { NodeBackend } from '../../ops/tensorflow/binding.ts';
import { useChoices } from '../../ops/tensorflow/trials.ts';
import { firstLineOf } from '../../text/messages.ts';
import { folderOf, processorName, requireHere, versionIn } from '../packages.ts';
import type { BackendOptions, Prepared } from '../types.ts';
import { cardName, hasDriver, whyNoCard } from './card.ts';
import { foundTensorflowFolder, tfjsNodeFolder } from './folder.ts';
import { kernelChoices } from './kernelChoices.ts';
import { restoreNodeUtil } from './nodeUtilShim.ts';

/** Variables that libtensorflow reads when it is loaded. Those that the user has set stay. */
const environment: Record<string, string> = {
  // A pool instead of malloc, which returns the pages of large tensors each time: elementwise
  // operations on tensors of 189 MB are 7 times faster.
  TF_CPU_ALLOCATOR_USE_BFC: 'true',
  TF_CPP_MIN_LOG_LEVEL: '2',
  // It changes rounding.
  TF_ENABLE_ONEDNN_OPTS: '0',
  // Otherwise TensorFlow takes the whole memory of the card at once.
  TF_FORCE_GPU_ALLOW_GROWTH: 'true',
  // tfjs-node uploads to the last card and computes on the first.
  CUDA_VISIBLE_DEVICES: '0',
};

const howToGet =
  '`svd setup tensorflow` (or `svd setup tensorflow --gpu` for CUDA) sets it up; `npm install ' +
  '@tensorflow/tfjs-node` also works where its download host can be reached.';

/**
 * The installations of tfjs-node in the order in which they are tried, with their names in reports
 * and whether they can use graphics cards.
 */
function candidates(): { label: string; folder: string | undefined; gpu?: boolean }[] {
  const own = (variant: 'cpu' | 'gpu') => {
    const folder = foundTensorflowFolder(variant);
    return folder && tfjsNodeFolder(folder);
  };
  return [
    { label: '@tensorflow/tfjs-node (svd setup tensorflow --gpu)', folder: own('gpu'), gpu: true },
    {
      label: '@tensorflow/tfjs-node-gpu',
      folder: folderOf('@tensorflow/tfjs-node-gpu'),
      gpu: true,
    },
    { label: '@tensorflow/tfjs-node (svd setup tensorflow)', folder: own('cpu') },
    { label: '@tensorflow/tfjs-node', folder: folderOf('@tensorflow/tfjs-node') },
  ];
}

/**
 * Loads the native addon of the tfjs-node in `folder`. It registers nothing, so a failure leaves no
 * trace.
 */
function loadAddon(folder: string): void {
  const lib = join(folder, 'lib');
  const builds = existsSync(lib) ? readdirSync(lib) : [];
  const addon = builds
    .map((build) => join(lib, build, 'tfjs_binding.node'))
    .find((path) => existsSync(path));
  if (addon === undefined)
    throw new Error('its native addon is missing (its install script did not run to the end)');
  requireHere(addon);
}

type Resolve = (
  request: string,
  parent: { filename?: string } | undefined,
  ...rest: unknown[]
) => string;

/**
 * Loads the package in `folder` with this program's TensorFlow.js, so that there is one engine and
 * one kernel registry.
 */
function loadPackage(folder: string): void {
  const loader = Module as unknown as { _resolveFilename: Resolve };
  const resolve = loader._resolveFilename;
  loader._resolveFilename = (request, parent, ...rest) => {
    const fromPackage = parent?.filename?.startsWith(folder + sep) ?? false;
    if (fromPackage && /^@tensorflow\/tfjs(-core)?$/.test(request))
      return requireHere.resolve(request);
    return resolve.call(loader, request, parent, ...rest);
  };
  try {
    requireHere(folder);
  } finally {
    loader._resolveFilename = resolve;
  }
}

function nodeBackend(): NodeBackend {
  return tf.findBackend('tensorflow') as unknown as NodeBackend;
}

/**
 * Loads the tfjs-node in `folder`.
 * @param options `gpu`: it was built for graphics cards too.
 */
export function prepareTensorflowFrom(
  folder: string,
  label: string,
  { gpu = false, tf32 }: { gpu?: boolean; tf32?: boolean } = {},
): Prepared {
  // Without a driver, TensorFlow prints as an error what `reason` says.
  if (gpu && !hasDriver()) process.env.TF_CPP_MIN_LOG_LEVEL ??= '3';
  for (const [name, value] of Object.entries(environment)) process.env[name] ??= value;
  // 0 forbids TensorFloat-32. Without the variable, TensorFlow uses it. The option comes before the
  // user's environment.
  if (tf32 === true) delete process.env.NVIDIA_TF32_OVERRIDE;
  else if (tf32 === false) process.env.NVIDIA_TF32_OVERRIDE = '0';
  else process.env.NVIDIA_TF32_OVERRIDE ??= '0';
  restoreNodeUtil();
  loadAddon(folder);
  loadPackage(folder);
  const { binding, isUsingGpuDevice } = nodeBackend();
  const version = `${versionIn(folder)} (TensorFlow ${binding.TF_Version})`;
  useChoices(kernelChoices(version));
  return {
    package: label,
    version,
    device: isUsingGpuDevice ? cardName() : processorName(),
    ...(gpu && !isUsingGpuDevice && { reason: whyNoCard() }),
  };
}

let current: { prepared: Prepared; tf32: boolean } | undefined;

/**
 * Makes the tensorflow backend ready.
 * @throws When no candidate can be loaded, with the reason of each and the way to get the backend;
 * or when `tf32` differs from that of the first call.
 */
export async function prepareTensorflow({ tf32 }: BackendOptions): Promise<Prepared> {
  if (current) {
    if (tf32 !== undefined && tf32 !== current.tf32) {
      throw new Error(
        `The tensorflow backend already runs with \`tf32\` ${current.tf32}. Choose it when ` +
          'the backend is first used.',
      );
    }
    return current.prepared;
  }
  const refusals: string[] = [];
  for (const { label, folder, gpu } of candidates()) {
    if (folder === undefined) continue;
    try {
      const prepared = prepareTensorflowFrom(folder, label, { gpu, tf32 });
      current = { prepared, tf32: process.env.NVIDIA_TF32_OVERRIDE !== '0' };
      return prepared;
    } catch (error) {
      refusals.push(`${label}: ${firstLineOf(error)}`);
    }
  }
  throw new Error(
    'The tensorflow backend is ' +
      `${refusals.length > 0 ? `unusable (${refusals.join('; ')})` : 'not installed'}. ` +
      `${howToGet}`,
  );
}

/** The number of tensors that libtensorflow holds in this process. */
export function tensorflowHandleCount(): number {
  return nodeBackend().binding.getNumOfTensors();
}
