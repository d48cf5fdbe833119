/**
 * The tensorflow backend: tfjs-node over libtensorflow, from npm or set up by `svd setup
 * tensorflow`.
 */
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { temporaryIn } from '../../files/writing/temporary.ts';
import type { NodeBackend } from '../../ops/tensorflow/binding.ts';
import { useHalfGain } from '../../ops/tensorflow/computeIn.ts';
import { useFolders } from '../../ops/tensorflow/graphs.ts';
import { useChoices } from '../../ops/tensorflow/trials.ts';
import { firstLineOf } from '../../text/messages.ts';
import { folderOf, processorName, requireHere, requireWithTfjs, versionIn } from '../packages.ts';
import type { Prepared, Request } from '../types.ts';
import { cardName, cardObstacle, hasDriver, whyNoCard } from './card.ts';
import { foundTensorflowFolder, type TensorflowVariant, tfjsNodeFolder } from './folder.ts';
import { findHalfGain } from './halfGain.ts';
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

const withoutCard = 'Use another backend: auto takes the fastest that works.';

/** An installation of tfjs-node. */
interface Candidate {
  /** Its name in reports. */
  label: string;
  folder: string;
  /** Whether it was built for graphics cards too. */
  gpu?: boolean;
}

/**
 * The installations of tfjs-node in the order in which they are tried.
 * @param card Whether there is a card: without one, what was built for cards comes last.
 */
export function candidates(card: boolean): Candidate[] {
  const own = (variant: TensorflowVariant) => {
    const folder = foundTensorflowFolder(variant);
    return folder && tfjsNodeFolder(folder);
  };
  const all = [
    { label: '@tensorflow/tfjs-node (svd setup tensorflow --gpu)', folder: own('gpu'), gpu: true },
    { label: '@tensorflow/tfjs-node (svd setup tensorflow)', folder: own('cpu') },
    {
      label: '@tensorflow/tfjs-node-gpu',
      folder: folderOf('@tensorflow/tfjs-node-gpu'),
      gpu: true,
    },
    { label: '@tensorflow/tfjs-node', folder: folderOf('@tensorflow/tfjs-node') },
  ];
  const found = all.filter((candidate): candidate is Candidate => candidate.folder !== undefined);
  const useless = ({ gpu = false }: Candidate) => gpu && !card;
  return [...found.filter((one) => !useless(one)), ...found.filter(useless)];
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
  requireWithTfjs(folder);
  const { binding, isUsingGpuDevice } = nodeBackend();
  const version = `${versionIn(folder)} (TensorFlow ${binding.TF_Version})`;
  useChoices(kernelChoices(version));
  useHalfGain(findHalfGain);
  useFolders(inTemporaryFolder);
  return {
    package: label,
    version,
    device: isUsingGpuDevice ? cardName() : processorName(),
    ...(gpu && !isUsingGpuDevice && { reason: whyNoCard() }),
  };
}

/** The result of `load` with a folder that holds a file of these bytes until then. */
function inTemporaryFolder<T>(file: string, bytes: Uint8Array, load: (folder: string) => T): T {
  const folder = temporaryIn(tmpdir());
  mkdirSync(folder, { mode: 0o700 });
  try {
    writeFileSync(join(folder, file), bytes);
    return load(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

let current: { prepared: Prepared; tf32: boolean } | undefined;

/**
 * Makes the tensorflow backend ready.
 * @param request `card`: on an NVIDIA card or not at all.
 * @throws When no candidate can be loaded, with the reason of each and the way to get the backend;
 * when there is no card but one is asked for; or when `tf32` differs from that of the first call.
 */
export async function prepareTensorflow({ tf32, card = false }: Request): Promise<Prepared> {
  if (current) {
    if (tf32 !== undefined && tf32 !== current.tf32) {
      throw new Error(
        `The tensorflow backend already runs with \`tf32\` ${current.tf32}. Choose it when ` +
          'the backend is first used.',
      );
    }
    if (card) checkOnCard(current.prepared);
    return current.prepared;
  }
  const obstacle = cardObstacle();
  if (card && obstacle !== undefined)
    throw new Error(`cuda needs an NVIDIA card, but ${obstacle}. ${withoutCard}`);
  const refusals: string[] = [];
  for (const { label, folder, gpu } of candidates(obstacle === undefined)) {
    if (card && !gpu) continue;
    try {
      const prepared = prepareTensorflowFrom(folder, label, { gpu, tf32 });
      current = { prepared, tf32: process.env.NVIDIA_TF32_OVERRIDE !== '0' };
      break;
    } catch (error) {
      refusals.push(`${label}: ${firstLineOf(error)}`);
    }
  }
  if (current === undefined) {
    const reason = refusals.length > 0 ? `unusable (${refusals.join('; ')})` : 'not installed';
    throw new Error(
      card
        ? `TensorFlow for NVIDIA cards is ${reason}. \`svd setup tensorflow --gpu\` sets it up.`
        : `The tensorflow backend is ${reason}. ${howToGet}`,
    );
  }
  if (card) checkOnCard(current.prepared);
  return current.prepared;
}

/** @throws Error if the backend computes on the processor. */
function checkOnCard({ package: label, reason }: Prepared): void {
  if (nodeBackend().isUsingGpuDevice) return;
  throw new Error(
    `This process uses ${label}, and not on an NVIDIA card. ` +
      `${reason ?? 'Choose cuda when the backend is first used.'} ${withoutCard}`,
  );
}

/** The number of tensors that libtensorflow holds in this process. */
export function tensorflowHandleCount(): number {
  return nodeBackend().binding.getNumOfTensors();
}
