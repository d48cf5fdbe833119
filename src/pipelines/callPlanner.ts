/** Plans the calls of a pipeline on its device, with the memory that there is. */

import type { Steps } from '../layers/index.ts';
import { refusal } from '../memory/advice.ts';
import { MemoryError } from '../memory/errors.ts';
import type { MemoryLimits } from '../memory/limits.ts';
import type { OffloadMode } from '../memory/offloadModes.ts';
import {
  defined,
  type GivenSettings,
  type MemoryPlan,
  MemoryPlanner,
  type MemoryRequest,
} from '../memory/plan.ts';
import type { Device } from '../memory/shapes/allocators.ts';
import { drain, type ModelConfigs, type VideoSize } from '../memory/stages.ts';
import { counted } from '../text/messages.ts';
import type { CallPlanner } from './components.ts';
import { callDefaults } from './defaults.ts';
import { activeDeepCache } from './sampling/deepCache.ts';
import { isGuided } from './sampling/guidance.ts';
import type { PlannedCall } from './types.ts';

/**
 * Plans calls of models with these configurations.
 * @param limits Called at each plan, because the memory that is free changes.
 * @param forcedSettings Settings that cannot be otherwise.
 */
export function callPlanner(
  configs: ModelConfigs,
  device: Device,
  limits: () => Partial<MemoryLimits>,
  forcedSettings: GivenSettings = {},
): Required<CallPlanner> {
  const planner = new MemoryPlanner(configs);
  let promised: { size: VideoSize; plan: MemoryPlan } | undefined;
  function* planInSteps(size: VideoSize, given: GivenSettings): Steps<MemoryPlan> {
    const givenSettings = { ...given, ...forcedSettings };
    // A plan made before loading holds after it, though the memory that is free has changed.
    if (promised && isEqual(promised.size, size) && follows(promised.plan, givenSettings))
      return promised.plan;
    const request: MemoryRequest = { ...size, ...limits(), device, givenSettings };
    const plan = yield* planner.planInSteps(request);
    if (!plan.fits) throw new MemoryError(yield* refusal(planner, request, plan, forcedSettings));
    promised = { size, plan };
    return plan;
  }
  return { plan: (size, given) => drain(planInSteps(size, given)), planInSteps };
}

/** The longest that planning keeps signals waiting, in milliseconds. */
const TURN_MS = 50;

/**
 * Runs the steps of planning to their end. The event loop has a turn now and then.
 * @throws The signal's reason if it aborts; what the steps throw.
 */
export async function runPlanning<T>(steps: Steps<T>, signal?: AbortSignal): Promise<T> {
  let turn = performance.now();
  try {
    for (;;) {
      signal?.throwIfAborted();
      const { done, value } = steps.next();
      if (done) return value;
      if (performance.now() - turn < TURN_MS) continue;
      await new Promise((resolve) => setTimeout(resolve));
      turn = performance.now();
    }
  } finally {
    steps.return(undefined as T);
  }
}

/** Whether a plan has every given setting. */
function follows({ settings, offload }: MemoryPlan, given: GivenSettings): boolean {
  const chosen: GivenSettings = { ...settings, offload };
  return Object.entries(given).every(
    ([name, value]) => value === undefined || isEqual(chosen[name as keyof GivenSettings], value),
  );
}

const isEqual = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);

/** The size of a call, with the defaults of `generate`. */
export function sizeOfCall(call: PlannedCall, numFramesOfUnet = 25): VideoSize {
  const defaults = { ...callDefaults, numFrames: numFramesOfUnet, pictures: 1 };
  const { height, width, numFrames, pictures, numVideosPerPrompt, outputType, ...guidance } = {
    ...defaults,
    ...defined(call),
  };
  checkForwardChunks(call, pictures * numVideosPerPrompt * numFrames);
  const { minGuidanceScale, maxGuidanceScale } = guidance;
  const deepCache = activeDeepCache(call.deepCache);
  return {
    ...{ height, width, numFrames, pictures },
    videos: pictures * numVideosPerPrompt,
    guided: isGuided(minGuidanceScale, maxGuidanceScale, numFrames),
    decoded: outputType !== 'latent',
    ...(call.loraRanks && { loraRanks: call.loraRanks }),
    ...(deepCache && { deepCacheBranch: deepCache.branch }),
  };
}

function checkForwardChunks({ forwardChunkSize: size }: PlannedCall, frames: number): void {
  if (size === undefined || size === null || frames % size === 0) return;
  throw new Error(
    `\`forwardChunkSize\` (--forward-chunking) has to divide the ${counted(frames, 'frame')} of ` +
      `the call but is ${size}.`,
  );
}

/** The settings that a call does not leave to the planner. */
export function givenSettings(call: PlannedCall, offload?: OffloadMode): GivenSettings {
  const { guidanceTogether, decodeChunkSize, forwardChunkSize: size } = call;
  const forwardChunking = size === undefined ? undefined : ({ size, dim: 0 } as const);
  return { offload, guidanceTogether, decodeChunkSize, forwardChunking };
}
