/** Chooses how a sampling call runs so that it fits into memory, before anything is loaded or computed. */
import type { Device } from '../backends/shapes/devices.ts';
import { SCORE_BYTES } from '../ops/attention.ts';
import { type Estimate, estimateMemory, type OffloadMode, type StageEstimate } from './memoryEstimate.ts';
import { type Levers, type ModelConfigs, StageModels, type VideoSize } from './memoryStages.ts';

/** What is to be made, on what, and what is fixed of how. */
export interface MemoryRequest extends VideoSize {
  device: Device;
  /** Memory that the process may take altogether, in bytes. Default: without limit. */
  processBytes?: number;
  /** Memory that tensors may take on the graphics card, in bytes. Default: without limit; for wasm 4 GiB. */
  deviceBytes?: number;
  /** The largest tensor that the device takes, in bytes. Default: without limit. */
  tensorBytes?: number;
  /** Settings that are not for the planner to choose. */
  fixed?: Partial<Levers & { offload: OffloadMode }>;
}

/** How a call shall run, and the memory that it takes then. */
export interface MemoryPlan extends Estimate {
  /** Whether it fits. If not, the plan is the one that takes least. */
  fits: boolean;
  levers: Levers;
  offload: OffloadMode;
}

/**
 * Of the memory that is there, the share that a prediction may fill. Predictions have been up to 10 % below what was measured.
 */
const SAFE = 0.9;

/** WebAssembly with 32-bit addresses. */
const WASM_BYTES = 4 * 2 ** 30;

/** Frames decoded together that are still as upstream's examples have them; fewer come only after offloading. */
const USUAL_CHUNK = 8;

/** Plans calls with models of given configurations. Declares their weights without memory; `dispose` ends that. */
export class MemoryPlanner {
  private readonly models: StageModels;

  constructor(configs: ModelConfigs) {
    this.models = new StageModels(configs);
  }

  /** Frees the declared weights. */
  dispose(): void {
    this.models.dispose();
  }

  /** The bytes of the float32 weights of each model. */
  get parameterCounts(): Record<string, number> {
    return Object.fromEntries(Object.entries(this.models.models).map(([name, model]) => [name, model.countParams()]));
  }

  /**
   * Chooses the fastest way that fits: first both halves of guidance together, all frames decoded together and large slices of attention;
   * then what costs little time, at last weights that are read from disk when they are needed.
   */
  plan(request: MemoryRequest): MemoryPlan {
    let last: MemoryPlan | undefined;
    for (const offload of offloads(request)) {
      const sampling = samplingSettings(request);
      const chunks = chunkSizes(request, offload);
      for (;;) {
        const levers = { ...sampling[0], decodeChunkSize: chunks[0] };
        const estimate = estimateMemory(this.models, { device: request.device, size: request, levers, offload });
        const tooLarge = estimate.stages.find((stage) => !fits(stage, request));
        last = { ...estimate, fits: tooLarge === undefined, levers, offload };
        if (last.fits) return last;
        if (tooLarge?.stage === 'decoding' && chunks.length > 1) chunks.shift();
        else if (sampling.length > 1) sampling.shift();
        else break;
      }
    }
    return last!;
  }
}

function fits(stage: StageEstimate, { device, processBytes, deviceBytes, tensorBytes }: MemoryRequest): boolean {
  const within = (bytes = 0, limit = Number.POSITIVE_INFINITY) => bytes <= limit;
  return (
    within(stage.processBytes / SAFE, processBytes) &&
    within((stage.deviceBytes ?? 0) / SAFE, deviceBytes ?? (device === 'wasm' ? WASM_BYTES : undefined)) &&
    within(stage.largestBytes, tensorBytes)
  );
}

function offloads({ fixed }: MemoryRequest): OffloadMode[] {
  return fixed?.offload ? [fixed.offload] : ['none', 'model'];
}

/** Settings of sampling from the fastest to the smallest. */
function samplingSettings({ guided, numFrames, fixed }: MemoryRequest): Omit<Levers, 'decodeChunkSize'>[] {
  const divisors = Array.from({ length: numFrames }, (_, i) => i + 1).filter((n) => numFrames % n === 0);
  const half = Math.max(...divisors.filter((n) => n <= Math.max(1, numFrames / 2)));
  const ladder: Omit<Levers, 'decodeChunkSize'>[] = [
    { guidanceTogether: guided, attentionBytes: SCORE_BYTES },
    { guidanceTogether: false, attentionBytes: SCORE_BYTES },
    { guidanceTogether: false, attentionBytes: SCORE_BYTES / 2 },
    { guidanceTogether: false, attentionBytes: SCORE_BYTES / 4 },
    { guidanceTogether: false, attentionBytes: SCORE_BYTES / 4, forwardChunkSize: half },
    { guidanceTogether: false, attentionBytes: SCORE_BYTES / 8, forwardChunkSize: 1 },
  ];
  const settings = ladder.map((step) => ({ ...step, ...given(fixed, ['guidanceTogether', 'attentionBytes', 'forwardChunkSize']) }));
  return settings.filter((step, i) => i === 0 || JSON.stringify(step) !== JSON.stringify(settings[i - 1]));
}

/** Numbers of frames to decode together, from all of them down. */
function chunkSizes({ numFrames, decoded, fixed }: MemoryRequest, offload: OffloadMode): number[] {
  if (fixed?.decodeChunkSize) return [fixed.decodeChunkSize];
  if (!decoded) return [numFrames];
  const least = offload === 'none' && fixed?.offload === undefined ? Math.min(USUAL_CHUNK, numFrames) : 1;
  const sizes = new Set<number>();
  for (let parts = 1; parts <= numFrames; parts++) sizes.add(Math.max(least, Math.ceil(numFrames / parts)));
  return [...sizes];
}

/** Those of `names` that are set in `from`. */
function given<T extends object, K extends keyof T>(from: T | undefined, names: K[]): Partial<Pick<T, K>> {
  const entries = names.filter((name) => from?.[name] !== undefined).map((name) => [name, from![name]]);
  return Object.fromEntries(entries) as Partial<Pick<T, K>>;
}
