/** Says why a call does not fit into memory, and what would fit. */

import type { Steps } from '../layers/index.ts';
import { formatBytes } from '../text/bytes.ts';
import { counted } from '../text/messages.ts';
import type { StageEstimate } from './estimate.ts';
import type { OffloadMode } from './offloadModes.ts';
import type { GivenSettings, MemoryPlan, MemoryPlanner, MemoryRequest } from './plan.ts';
import { limitsOf, USABLE_SHARE } from './plan.ts';

/** The videos of a request, and the pictures if there are several. */
function described({ pictures, videos, numFrames, width, height }: MemoryRequest): string {
  const number = videos === 1 ? '' : `${videos} videos of `;
  const of = pictures === 1 ? '' : ` from ${pictures} pictures`;
  return `${number}${counted(numFrames, 'frame')} of ${width}x${height}${of}`;
}

/**
 * Why a call does not fit, and what would.
 * @param plan The smallest plan.
 * @param forcedSettings Settings that cannot be otherwise.
 */
export function* refusal(
  planner: MemoryPlanner,
  request: MemoryRequest,
  plan: MemoryPlan,
  forcedSettings: GivenSettings = {},
): Steps<string> {
  return (
    `${described(request)} do not fit into memory: ${shortage(request, plan)}. ` +
    `${yield* advice(planner, request, forcedSettings)}`
  );
}

/** A call that would fit: the same one with given settings left out, or a smaller video. */
function* advice(
  planner: MemoryPlanner,
  request: MemoryRequest,
  forcedSettings: GivenSettings,
): Steps<string> {
  const offload = forcedSettings.offload ? undefined : yield* otherOffload(planner, request);
  if (offload) return `They fit if the pipeline is loaded with \`offload\` ${offload}.`;
  const { guidanceTogether, ...others } = request.givenSettings ?? {};
  const names = Object.entries(others).flatMap(([name, value]) =>
    value === undefined || name in forcedSettings ? [] : [`\`${name}\``],
  );
  if (
    names.length > 0 &&
    (yield* planner.least({ ...request, givenSettings: { guidanceTogether, ...forcedSettings } }))
      .fits
  ) {
    return (
      `They fit if ${names.join(' and ')} ${names.length === 1 ? 'is' : 'are'} left out, to be ` +
      'chosen by the memory there is.'
    );
  }
  const smaller = [
    yield* fewerVideos(planner, request),
    yield* fewerFrames(planner, request),
    yield* smallerSize(planner, request),
  ];
  const sizes = smaller.filter((found) => found !== undefined).map(described);
  if (sizes.length > 0) return `${sizes.join(' or ')} would fit.`;
  return 'No size fits. Try another backend, or a machine with more memory.';
}

/** The offload with which the call fits, if all other given settings stay. */
function* otherOffload(
  planner: MemoryPlanner,
  request: MemoryRequest,
): Steps<OffloadMode | undefined> {
  if (request.givenSettings?.offload === undefined) return undefined;
  const { fits, offload } = yield* planner.planInSteps({
    ...request,
    givenSettings: { ...request.givenSettings, offload: undefined },
  });
  return fits ? offload : undefined;
}

/**
 * The part of the call that lacks memory. Amounts include a part that stays free, because
 * predictions can be too low.
 */
function shortage(request: MemoryRequest, plan: MemoryPlan): string {
  const { processBytes, deviceBytes, tensorBytes } = limitsOf(request);
  const most = (of: (stage: StageEstimate) => number) =>
    plan.stages.reduce((a, b) => (of(b) > of(a) ? b : a));
  const { largestBytes } = most((one) => one.largestBytes);
  if (largestBytes > tensorBytes)
    return (
      `a tensor takes ${formatBytes(largestBytes)} and the device has buffers of ` +
      `${formatBytes(tensorBytes)}`
    );
  const onDevice = most((one) => one.deviceBytes ?? 0);
  if ((onDevice.deviceBytes ?? 0) > USABLE_SHARE * deviceBytes) {
    const where = request.device === 'wasm' ? 'WebAssembly has' : 'the graphics card has';
    return (
      `${onDevice.stage} needs ${amount(onDevice, onDevice.deviceBytes!)} and ${where} ` +
      `${formatBytes(deviceBytes)}`
    );
  }
  const stage = most((one) => one.processBytes);
  return (
    `${stage.stage} needs ${amount(stage, stage.processBytes)} and there are ` +
    `${formatBytes(processBytes)}`
  );
}

const amount = ({ more }: StageEstimate, bytes: number) =>
  `${more ? 'more than ' : ''}${formatBytes(bytes / USABLE_SHARE)}`;

/** The most pictures that fit at this size, or of one picture the most videos. */
function fewerVideos(planner: MemoryPlanner, request: MemoryRequest) {
  const { pictures, videos } = request;
  const several = pictures > 1;
  return largest((several ? pictures : videos) - 1, (count) =>
    fitting(planner, {
      ...request,
      ...(several ? { pictures: count, videos: (count * videos) / pictures } : { videos: count }),
    }),
  );
}

/** The most frames that fit at this size. */
const fewerFrames = (planner: MemoryPlanner, request: MemoryRequest) =>
  largest(request.numFrames - 1, (numFrames) => fitting(planner, { ...request, numFrames }));

/** The largest size of about these proportions that fits with all frames, in steps of 64 pixels. */
function smallerSize(planner: MemoryPlanner, request: MemoryRequest) {
  const { height, width } = request;
  const steps = Math.ceil(Math.max(height, width) / 64) - 1;
  const scaled = (n: number, step: number) =>
    Math.max(64, Math.round((n * step) / (steps + 1) / 64) * 64);
  return largest(steps, (step) =>
    fitting(planner, { ...request, height: scaled(height, step), width: scaled(width, step) }),
  );
}

function* fitting(
  planner: MemoryPlanner,
  request: MemoryRequest,
): Steps<MemoryRequest | undefined> {
  const { fits } = yield* planner.least(request);
  return fits ? request : undefined;
}

/**
 * The result of `find` for the largest number up to `most` for which it has one, by halving: it has
 * one for all smaller numbers too.
 */
function* largest<T>(
  most: number,
  find: (n: number) => Steps<T | undefined>,
): Steps<T | undefined> {
  let best: T | undefined;
  let [low, high] = [1, most];
  while (low <= high) {
    const middle = Math.floor((low + high) / 2);
    const found = yield* find(middle);
    if (found === undefined) high = middle - 1;
    else [best, low] = [found, middle + 1];
  }
  return best;
}
