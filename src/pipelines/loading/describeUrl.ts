/** Describes a model behind a URL and the memory that a call of it needs, before it is downloaded. */
import * as tf from '@tensorflow/tfjs-core';
import type { Format } from '../../checkpoints/browser.ts';
import { isSingleFile } from '../../checkpoints/diffusers/names.ts';
import type { Download } from '../../checkpoints/web/files.ts';
import {
  type OpenSingleFileUrlOptions,
  openSingleFileUrl,
} from '../../checkpoints/web/openSingleFile.ts';
import { openUrl } from '../../checkpoints/web/openUrl.ts';
import { refusal } from '../../memory/advice.ts';
import { browserLimits } from '../../memory/browserLimits.ts';
import { type MemoryPlan, MemoryPlanner, type MemoryRequest } from '../../memory/plan.ts';
import type { Device } from '../../memory/shapes/allocators.ts';
import type { VideoSize } from '../../memory/stages.ts';
import { deviceName } from '../../ops/device.ts';
import { holdsHalves } from '../../ops/halfWeights/halfWeights.ts';
import { checkOptionValues, type Kinds, kinds } from '../../text/options.ts';
import { givenSettings, runPlanning, sizeOfCall } from '../callPlanner.ts';
import { loadOptionKinds, plannedCallKinds } from '../options.ts';
import type { LoadOptions, PlannedCall } from '../types.ts';
import { modelConfigs, openSources } from './modelConfigs.ts';

/** Options of `describeModel` in browsers. */
export interface DescribeUrlOptions
  extends PlannedCall,
    Pick<LoadOptions, 'variant' | 'offload' | 'memory' | 'signal'>,
    Pick<OpenSingleFileUrlOptions, 'unet' | 'cache' | 'config' | 'numFrames'> {}

const { variant, unet, offload, memory, signal } = loadOptionKinds;
const describeUrlKinds: Kinds<DescribeUrlOptions> = {
  ...plannedCallKinds,
  ...{ variant, unet, offload, memory, signal, cache: kinds.text, config: kinds.text },
};

/** A model behind a URL, and the plan of a call of it on the current backend. */
export interface UrlDescription {
  /** How it is stored. */
  format: Format;
  /** What there is to download. */
  download: Download;
  /** The call, with defaults filled in. */
  call: VideoSize;
  /** How it runs, and the memory that it takes. */
  plan: MemoryPlan;
  /** Why it does not fit into memory, and what would. */
  advice?: string;
}

/**
 * Tells what a model would have to download and how a call of it would run on the current backend,
 * as `fromPretrained` and `fromSingleFile` do it. Downloads no weights.
 * @param url The address of a folder, or of an original `.safetensors` file.
 * @throws CheckpointError if it is not a Stable Video Diffusion model or cannot be reached; Error
 * if an option is unknown.
 */
export async function describeModel(
  url: string,
  options: DescribeUrlOptions = {},
): Promise<UrlDescription> {
  checkOptionValues('describeModel', options, describeUrlKinds);
  const { variant, unet, cache, config, signal } = options;
  await tf.ready();
  const web = { unet, cache, signal };
  await using files = isSingleFile(url.split(/[?#]/)[0]!)
    ? await openSingleFileUrl(url, { ...web, config, numFrames: options.numFrames })
    : await openUrl(url, { ...web, variant });
  const download = await files.download();
  const device = deviceName() as Device;
  const sources = holdsHalves(device) ? await openSources(files) : undefined;
  const configs = modelConfigs(files, device, {}, sources);
  const call = sizeOfCall(options, configs.unet.numFrames);
  const planner = new MemoryPlanner(configs);
  const request: MemoryRequest = {
    ...call,
    ...browserLimits(options.memory)?.(),
    device,
    givenSettings: givenSettings(options, options.offload),
  };
  const plan = await runPlanning(planner.planInSteps(request), signal);
  return {
    format: files.format,
    download,
    call,
    plan,
    ...(!plan.fits && { advice: await runPlanning(refusal(planner, request, plan), signal) }),
  };
}
