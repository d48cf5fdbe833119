/**
 * Chooses how a sampling call runs so that it fits into memory, before anything is loaded or
 * computed.
 */

import type { Chunking, Steps } from '../layers/index.ts';
import type { ModelName } from '../models/names.ts';
import { sliceBytes } from '../ops/slices.ts';
import { formatBytes } from '../text/bytes.ts';
import { counted } from '../text/messages.ts';
import { checkArgument, kinds } from '../text/options.ts';
import {
  type Call,
  type Estimate,
  estimateMemory,
  leastMemory,
  type StageEstimate,
} from './estimate.ts';
import type { MemoryLimits } from './limits.ts';
import { type OffloadMode, offloadModes } from './offloadModes.ts';
import type { Device } from './shapes/allocators.ts';
import {
  drain,
  type MemorySettings,
  type ModelConfigs,
  StageModels,
  type VideoSize,
} from './stages.ts';

/** A call to plan: its size, its device, the memory there is and the settings already given. */
export interface MemoryRequest extends VideoSize, Partial<MemoryLimits> {
  /** The device. */
  device: Device;
  /** Settings that the planner does not choose. */
  givenSettings?: GivenSettings;
}

/** Settings that the planner does not choose. */
export interface GivenSettings extends Partial<MemorySettings> {
  /** Where weights are while they are not used. */
  offload?: OffloadMode;
}

type SamplingSettings = Omit<MemorySettings, 'decodeChunkSize'>;

/** How a call runs, and the memory that it takes. */
export interface MemoryPlan extends Estimate {
  /** Whether it fits. If not, the plan is the one that takes least. */
  fits: boolean;
  /** The settings that change how much memory the call takes. */
  settings: MemorySettings;
  /** Where weights are while they are not used. */
  offload: OffloadMode;
  /** The settings that save memory at the cost of time, in words. Empty if there is enough. */
  choices: string[];
}

/**
 * The share of the available memory that a prediction may fill. Predictions have been up to 10 %
 * below measurements.
 */
export const USABLE_SHARE = 0.9;

/** WebAssembly with 32-bit addresses. */
const WASM_BYTES = 4 * 2 ** 30;

/** Frames decoded together in upstream's examples. Fewer are chosen only with offload. */
const USUAL_CHUNK = 8;

/** Plans calls of models by their configurations, without their weights. */
export class MemoryPlanner {
  private readonly models: StageModels;

  constructor(configs: ModelConfigs) {
    this.models = new StageModels(configs);
  }

  /** The number of parameters of each model. */
  parameterCounts(): Record<ModelName, number> {
    using models = this.models;
    return models.parameterCounts();
  }

  /**
   * Chooses the fastest way that fits: first both halves of guidance together, all frames decoded
   * together and large slices of attention; then what costs little time, at last weights that are
   * read from disk when they are needed.
   */
  plan(request: MemoryRequest): MemoryPlan {
    return drain(this.planInSteps(request));
  }

  /** The same in steps, between which the program can do other work. */
  *planInSteps(request: MemoryRequest): Steps<MemoryPlan> {
    using _declared = this.models;
    return yield* this.choose(request);
  }

  /** The plan that takes the least memory, whatever it costs in time. */
  *least(request: MemoryRequest): Steps<MemoryPlan> {
    using _declared = this.models;
    return yield* this.leastWith(request, offloads(request).at(-1)!);
  }

  private leastWith(request: MemoryRequest, offload: OffloadMode): Steps<MemoryPlan> {
    return this.evaluate(
      request,
      samplingSettings(request).at(-1)!,
      chunkSizes(request, offload).at(-1)!,
      offload,
    );
  }

  private *choose(request: MemoryRequest): Steps<MemoryPlan> {
    let least: MemoryPlan | undefined;
    for (const offload of offloads(request)) {
      least = yield* this.leastWith(request, offload);
      if (!least.fits) continue;
      const sampling = samplingSettings(request);
      const chunks = chunkSizes(request, offload);
      for (;;) {
        const plan = yield* this.evaluate(request, sampling[0], chunks[0], offload);
        if (plan.fits) return plan;
        const tooLarge = plan.stages.find((stage) => !fits(stage, request));
        if (tooLarge?.stage === 'decoding' && chunks.length > 1) chunks.shift();
        else if (sampling.length > 1) sampling.shift();
        else return least;
      }
    }
    return least!;
  }

  private *evaluate(
    request: MemoryRequest,
    sampling: SamplingSettings,
    decodeChunkSize: number,
    offload: OffloadMode,
  ): Steps<MemoryPlan> {
    const settings = { ...sampling, decodeChunkSize };
    const { device, tensorBytes } = request;
    const call: Call = { device, tensorBytes, size: request, settings, offload };
    const fitting = ({ stages }: Estimate) => stages.every((stage) => fits(stage, request));
    const least = leastMemory(this.models, call);
    const estimate = fitting(least) ? yield* estimateMemory(this.models, call) : least;
    return {
      ...estimate,
      fits: fitting(estimate),
      settings,
      offload,
      choices: choicesOf(settings, offload, request),
    };
  }
}

/** The settings that save memory at the cost of time, in a few words each. */
function choicesOf(
  settings: MemorySettings,
  offload: OffloadMode,
  request: MemoryRequest,
): string[] {
  const { guided, numFrames, decoded } = request;
  const { guidanceTogether, attentionBytes, forwardChunking, decodeChunkSize } = settings;
  const frames = (count: number) => counted(count, 'frame');
  const chunk = ({ size, dim }: Chunking) => (dim === 0 ? frames(size) : `${size} tokens`);
  const choices = [
    guided && !guidanceTogether && 'the halves of guidance in turn',
    attentionBytes < usualSlice(request) && `attention in slices of ${formatBytes(attentionBytes)}`,
    forwardChunking && `feed-forward layers on ${chunk(forwardChunking)} at a time`,
    decoded && decodeChunkSize < numFrames && `${frames(decodeChunkSize)} decoded at a time`,
    offload !== 'none' && `offload ${offload}`,
  ];
  return choices.filter((choice) => typeof choice === 'string');
}

/** The limits of a request, infinite where they are not known. */
export function limitsOf({
  device,
  processBytes = Number.POSITIVE_INFINITY,
  deviceBytes = device === 'wasm' ? WASM_BYTES : Number.POSITIVE_INFINITY,
  tensorBytes = Number.POSITIVE_INFINITY,
}: MemoryRequest): Required<MemoryLimits> {
  return { processBytes, deviceBytes, tensorBytes };
}

function fits(stage: StageEstimate, request: MemoryRequest): boolean {
  const { processBytes, deviceBytes, tensorBytes } = limitsOf(request);
  return (
    stage.processBytes <= USABLE_SHARE * processBytes &&
    (stage.deviceBytes ?? 0) <= USABLE_SHARE * deviceBytes &&
    stage.largestBytes <= tensorBytes
  );
}

function offloads({ givenSettings }: MemoryRequest): readonly OffloadMode[] {
  return givenSettings?.offload ? [givenSettings.offload] : offloadModes;
}

/** The largest whole number below `n` that divides it, or 1. */
function largestDivisor(n: number): number {
  let factor = 2;
  while (factor ** 2 <= n && n % factor !== 0) factor++;
  return factor ** 2 <= n ? n / factor : 1;
}

/** The scores of attention that the fastest settings compute at a time, in bytes. */
const usualSlice = (request: MemoryRequest) =>
  sliceBytes(request.device, limitsOf(request).tensorBytes);

/** Settings of sampling from the fastest to the smallest. */
function samplingSettings(request: MemoryRequest): SamplingSettings[] {
  const { guided, numFrames, givenSettings } = request;
  const half = largestDivisor(numFrames);
  const usual = usualSlice(request);
  const ladder: SamplingSettings[] = [
    { guidanceTogether: guided, attentionBytes: usual },
    { guidanceTogether: false, attentionBytes: usual },
    { guidanceTogether: false, attentionBytes: usual / 2 },
    { guidanceTogether: false, attentionBytes: usual / 4 },
    { guidanceTogether: false, attentionBytes: usual / 4, forwardChunking: { size: half, dim: 0 } },
    { guidanceTogether: false, attentionBytes: usual / 8, forwardChunking: { size: 1, dim: 0 } },
  ];
  const { guidanceTogether, attentionBytes, forwardChunking } = givenSettings ?? {};
  const given = defined({ guidanceTogether, attentionBytes, forwardChunking });
  const settings = ladder.map((step) => ({ ...step, ...given }));
  return settings.filter(
    (step, i) => i === 0 || JSON.stringify(step) !== JSON.stringify(settings[i - 1]),
  );
}

/** Numbers of frames to decode together, from all of them down. */
function chunkSizes(
  { numFrames, decoded, givenSettings }: MemoryRequest,
  offload: OffloadMode,
): number[] {
  if (givenSettings?.decodeChunkSize) return [givenSettings.decodeChunkSize];
  if (!decoded) return [numFrames];
  const least =
    offload === 'none' && givenSettings?.offload === undefined
      ? Math.min(USUAL_CHUNK, numFrames)
      : 1;
  const parts = [1, 2, 3, 4, 5, 6, 8, 12, 16, 24, 32, 48, numFrames];
  const sizes = parts.map((count) => Math.max(least, Math.ceil(numFrames / count)));
  return [...new Set(sizes)].sort((a, b) => b - a);
}

/** `options` without those that are undefined, so that they can be spread over defaults. */
export const defined = <T extends object>(options: T) =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]: NonNullable<T[K]>;
  };

/**
 * Chooses how a call runs so that it fits into memory. Only configurations and sizes are used:
 * nothing is loaded or computed. Memory is predicted by running the shapes of the models, with
 * every formulation and lifetime of the real run.
 *
 * @returns The fastest plan that fits; if none fits, the smallest one, with `fits` false.
 */
export function planMemory(configs: ModelConfigs, request: MemoryRequest): MemoryPlan {
  checkArgument('planMemory', configs, kinds.object);
  checkArgument('planMemory', request, kinds.object, 'second');
  return new MemoryPlanner(configs).plan(request);
}
