/** Plans the calls of a pipeline on the device and with the memory that it has. */

import { refusal } from '../memory/advice.ts';
import { MemoryError } from '../memory/errors.ts';
import type { MemoryLimits } from '../memory/limits.ts';
import {
  type GivenSettings,
  type MemoryPlan,
  MemoryPlanner,
  type MemoryRequest,
} from '../memory/plan.ts';
import type { Device } from '../memory/shapes/allocators.ts';
import type { ModelConfigs, VideoSize } from '../memory/stages.ts';
import type { CallPlanner } from './components.ts';
import { guidanceScales } from './guidance.ts';
import { callDefaults } from './settings.ts';
import type { PlannedCall } from './types.ts';

/**
 * Plans calls of models with these configurations.
 * @param limits Asked at each call: what there is changes with what else runs.
 * @param always What cannot be otherwise.
 */
export function callPlanner(
  configs: ModelConfigs,
  device: Device,
  limits: () => Partial<MemoryLimits>,
  always: GivenSettings = {},
): CallPlanner {
  const planner = new MemoryPlanner(configs);
  let promised: { size: VideoSize; plan: MemoryPlan } | undefined;
  return {
    plan(size: VideoSize, given: GivenSettings): MemoryPlan {
      const fixed = { ...given, ...always };
      // What was planned before loading holds after it, though the memory that is free has changed.
      if (promised && sameSize(promised.size, size) && follows(promised.plan, fixed))
        return promised.plan;
      const request: MemoryRequest = { ...size, ...limits(), device, fixed };
      const plan = planner.plan(request);
      if (!plan.fits) throw new MemoryError(refusal(planner, request, plan, always));
      promised = { size, plan };
      return plan;
    },
  };
}

function sameSize(a: VideoSize, b: VideoSize): boolean {
  const names = [
    'height',
    'width',
    'numFrames',
    'pictures',
    'videos',
    'guided',
    'decoded',
  ] as const;
  return names.every((name) => a[name] === b[name]);
}

/** Whether a plan has everything that is fixed. */
function follows({ levers, offload }: MemoryPlan, fixed: GivenSettings): boolean {
  const chosen: GivenSettings = { ...levers, offload };
  return Object.entries(fixed).every(
    ([name, value]) => value === undefined || isEqual(chosen[name as keyof GivenSettings], value),
  );
}

const isEqual = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);

/** The size of a call, with the defaults of `generate`. */
export function sizeOfCall(call: PlannedCall, numFramesOfUnet = 25): VideoSize {
  const { height, width, numFrames, pictures, numVideosPerPrompt, outputType, ...guidance } = {
    ...callDefaults,
    numFrames: numFramesOfUnet,
    pictures: 1,
    ...defined(call),
  };
  const { minGuidanceScale, maxGuidanceScale } = guidance;
  const scales = guidanceScales(minGuidanceScale, maxGuidanceScale, numFrames);
  return {
    ...{ height, width, numFrames, pictures },
    videos: pictures * numVideosPerPrompt,
    guided: scales.some((scale) => scale > 1),
    decoded: outputType !== 'latent',
  };
}

/** `options` without those that are undefined, so that they can be spread over defaults. */
const defined = <T extends object>(options: T): { [K in keyof T]: NonNullable<T[K]> } =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]: NonNullable<T[K]>;
  };
