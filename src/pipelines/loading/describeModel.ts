/** Describes a model on disk and the memory that its calls need, without loading weights. */

import { isSingleFile } from '../../checkpoints/diffusers/names.ts';
import {
  type CheckpointIdentity,
  type Format,
  identifyCheckpoint,
  inspectModel,
  openCheckpoint,
  type SingleFileOptions,
} from '../../checkpoints/index.ts';
import { refusal } from '../../memory/advice.ts';
import { memoryLimits } from '../../memory/limits.ts';
import { limitsOf, type MemoryPlan, MemoryPlanner, type MemoryRequest } from '../../memory/plan.ts';
import { type Device, devices } from '../../memory/shapes/allocators.ts';
import { drain, type VideoSize } from '../../memory/stages.ts';
import type { ModelName } from '../../models/names.ts';
import { checkOptionValues, checkPath, type Kinds, kinds } from '../../text/options.ts';
import { givenSettings, sizeOfCall } from '../callPlanner.ts';
import { DEEP_CACHE_BRANCH } from '../defaults.ts';
import { plannedRanks } from '../lora/files.ts';
import { loadOptionKinds, plannedCallKinds } from '../options.ts';
import type { LoadOptions, PlannedCall } from '../types.ts';
import { componentOf, modelConfigs, openSources } from './modelConfigs.ts';

/** One model of a checkpoint. */
export interface ModelSummary {
  /** Number of parameters. */
  parameters: number;
  /** Bytes of its weights on disk. */
  bytes: number;
  /** Element types of its weights on disk. */
  dtypes: string[];
}

/** A plan of a call on one device. */
export interface DevicePlan extends MemoryPlan {
  /** The device. */
  device: Device;
  /** Bytes that the process may take. */
  availableBytes: number;
  /** Whether the memory of WebAssembly or of the graphics card is known. */
  deviceKnown: boolean;
  /** The same call with DeepCache of the usual branch, where it fits. */
  withDeepCache?: MemoryPlan;
  /** Why it does not fit, and what would. */
  advice?: string;
}

/** A model on disk, and plans of a call of it. */
export interface ModelDescription {
  /** How it is stored. */
  format: Format;
  /** The model in a few words, recognised by the names and shapes of its tensors. */
  recognised: string;
  /** Its faults, a sentence each. */
  problems: string[];
  /** What is passed over in it, a sentence each. */
  warnings: string[];
  /** Its name and the SHA-256 of its files. */
  checkpoint: CheckpointIdentity;
  /** The class of its sampler. */
  scheduler: string;
  /** Its models. */
  models: Record<ModelName, ModelSummary>;
  /** The call, with defaults filled in. */
  call: VideoSize;
  /** A plan for every device, also for devices that this machine lacks. */
  plans: DevicePlan[];
}

/** Options of `describeModel`. */
export interface DescribeOptions
  extends PlannedCall,
    Pick<LoadOptions, 'variant' | 'unet' | 'dtype' | 'weightDtype' | 'offload' | 'memory'>,
    SingleFileOptions {
  /** The paths of LoRA files that the UNet gets. */
  loras?: readonly string[];
}

const { variant, unet, dtype, weightDtype, offload, memory } = loadOptionKinds;
const describeOptionKinds: Kinds<DescribeOptions> = {
  ...plannedCallKinds,
  ...{ variant, unet, dtype, weightDtype, offload, memory },
  ...{ config: kinds.text, loras: kinds.list },
};

/**
 * Describes the model in a folder or file and plans a call of it for every device, without loading
 * weights. Reads every byte for the hashes.
 * @throws CheckpointError if it is not a Stable Video Diffusion model, or a LoRA is not for it; Error
 * if an option is unknown.
 */
export async function describeModel(
  path: string,
  options: DescribeOptions = {},
): Promise<ModelDescription> {
  checkPath('describeModel', path);
  checkOptionValues('describeModel', options, describeOptionKinds);
  const numFrames = isSingleFile(path) ? options.numFrames : undefined;
  const opening = {
    ...{ variant: options.variant, config: options.config, unet: options.unet, numFrames },
  };
  await using files = await openCheckpoint(path, opening);
  const inspection = await inspectModel(files);
  const configs = modelConfigs(files, 'cpu');
  const { loras = [] } = options;
  const loraRanks = await plannedRanks({ model: path, opening, loras });
  const call = sizeOfCall({ loraRanks, ...options }, configs.unet.numFrames);
  const identity = identifyCheckpoint(path, { ...opening, loras });
  identity.catch(() => {}); // awaited below
  const models: Partial<Record<ModelName, ModelSummary>> = {};
  const counts = new MemoryPlanner(configs).parameterCounts();
  const sources = await openSources(files);
  for (const name of Object.keys(componentOf) as ModelName[]) {
    const source = sources[name];
    const infos = source.names().map((key) => {
      const info = source.info(key);
      return info.stored ?? info;
    });
    const bytes = infos.reduce((sum, info) => sum + info.bytes, 0);
    models[name] = {
      parameters: counts[name],
      bytes,
      dtypes: [...new Set(infos.map(({ dtype }) => dtype))],
    };
  }
  const plans: DevicePlan[] = [];
  for (const device of devices) {
    // Only libtensorflow computes in half precision.
    const dtype = device.startsWith('tensorflow') ? options.dtype : 'float32';
    const configs = modelConfigs(files, device, { ...options, dtype }, sources);
    const planner = new MemoryPlanner(configs);
    plans.push(planFor(planner, device, call, options));
  }
  return {
    format: files.format,
    ...inspection,
    checkpoint: await identity,
    scheduler: `${files.config('scheduler')._class_name}`,
    models: models as Record<ModelName, ModelSummary>,
    call,
    plans,
  };
}

/** The plan with DeepCache; none of a UNet that lacks the usual branch. */
function deepCachePlan(planner: MemoryPlanner, request: MemoryRequest): MemoryPlan | undefined {
  try {
    return planner.plan({ ...request, deepCacheBranch: DEEP_CACHE_BRANCH });
  } catch {
    return undefined;
  }
}

function planFor(
  planner: MemoryPlanner,
  device: Device,
  call: VideoSize,
  options: DescribeOptions,
): DevicePlan {
  const request: MemoryRequest = {
    ...call,
    ...memoryLimits(device, options.memory),
    device,
    givenSettings: givenSettings(options, options.offload),
  };
  const plan = planner.plan(request);
  const { processBytes, deviceBytes } = limitsOf(request);
  const withDeepCache = deepCachePlan(planner, request);
  return {
    device,
    ...plan,
    availableBytes: processBytes,
    deviceKnown: Number.isFinite(deviceBytes),
    ...(withDeepCache?.fits && { withDeepCache }),
    ...(!plan.fits && { advice: drain(refusal(planner, request, plan)) }),
  };
}
