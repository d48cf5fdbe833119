/**
 * Predicts the peak memory of a sampling call, from the allocations of its stages and from where
 * the weights are.
 */

import type { Steps } from '../layers/index.ts';
import type { ModelName } from '../models/names.ts';
import type { OffloadMode } from './offloadModes.ts';
import { behaviours, type Device } from './shapes/allocators.ts';
import { type Allocator, Arena } from './shapes/arena.ts';
import { BufferLists } from './shapes/bufferLists.ts';
import type { LimitedDevice } from './shapes/dryRun.ts';
import type { MemorySettings, StageMemory, StageModels, VideoSize } from './stages.ts';

const MiB = 2 ** 20;

const modelNames = ['imageEncoder', 'unet', 'vae'] as const;

/**
 * The memory of a process without any model, in bytes: Node, this package, and the libraries of the
 * backend once they have computed something. Measured as VmHWM of a small call of the built package
 * on Linux, Node 20.
 */
const processBytes: Record<Device, number> = {
  'tensorflow-cpu': 470 * MiB, // 300 of them are pages of libtensorflow's 850
  'tensorflow-gpu': 2048 * MiB, // an estimate: CUDA's libraries have not been measured
  webgpu: 400 * MiB,
  wasm: 150 * MiB,
  cpu: 170 * MiB,
};

/** The memory that a backend takes on its device besides tensors. */
const deviceBytes: Partial<Record<Device, number>> = {
  // An estimate: CUDA's context and cuDNN's workspace have not been measured.
  'tensorflow-gpu': 1024 * MiB,
  webgpu: 0, // what the driver takes is not known
  // emscripten's static data, and half of the 96 MiB that its heap grows ahead at most.
  wasm: 65 * MiB,
};

/**
 * XNNPACK's kernels and emscripten's allocator take more of the heap than is traced: up to 1.18
 * times as much, measured over several calls.
 */
const HEAP_SHARE = 1.12;

/**
 * JavaScript arrays that are not in use any more stay in memory until the next collection: this
 * many times the bytes in use.
 */
const GARBAGE = 1.5;

/**
 * Loading on libtensorflow keeps the memory that it has read tensors into for later ones, 16 pieces
 * at most. With a published model that is as much as five of its largest weights.
 */
const UPLOADS = 5;

/**
 * The peak memory of a stage: its weights, its tensors, and the memory that earlier stages still
 * hold.
 */
export interface StageEstimate {
  /** The part of the call. */
  stage: StageMemory['stage'];
  /** The model at work. */
  model: ModelName;
  /** Bytes of the process. */
  processBytes: number;
  /**
   * Bytes of WebAssembly's heap or of the graphics card; undefined where tensors are only in the
   * memory of the process.
   */
  deviceBytes?: number;
  /** The largest tensor, in bytes. */
  largestBytes: number;
  /** Set if this is only a lower bound, which is too much already. */
  more?: true;
  /** The blocks of one evaluation of the model. None for a lower bound. */
  blocks: BlockEstimate[];
}

/** What one block of a model needs. */
export interface BlockEstimate {
  /** Its path in the model. */
  path: string;
  /** About how many multiply-adds it takes. */
  work: number;
}

/** The peak memory of a call. */
export interface Estimate {
  /** Every stage, in order. */
  stages: StageEstimate[];
  /** Bytes of the process. */
  processBytes: number;
  /** Bytes of WebAssembly's heap or of the graphics card. */
  deviceBytes?: number;
}

/** A call on a device, with all its settings. */
export interface Call extends LimitedDevice {
  size: VideoSize;
  settings: MemorySettings;
  offload: OffloadMode;
}

/**
 * The most frames of a video, and of all videos together, whose shapes are run. More frames take
 * more memory in proportion: it is found from half as many and as many frames, so that planning
 * takes no longer for more of them.
 */
const MOST_FRAMES = 64;
const MOST_FRAMES_IN_ALL = 128;

/** Predicts the memory of a call. */
export function* estimateMemory(models: StageModels, call: Call): Steps<Estimate> {
  const { numFrames, videos } = call.size;
  if (numFrames > MOST_FRAMES)
    return yield* inProportion(models, call, numFrames, MOST_FRAMES / 2, withFrames);
  const fewVideos = Math.max(1, Math.floor(MOST_FRAMES_IN_ALL / numFrames / 2));
  if (videos > 2 * fewVideos)
    return yield* inProportion(models, call, videos, fewVideos, withVideos);
  return yield* estimateStages(models, call);
}

/** The call with fewer frames, and as many chunks of them to decode if these would be large. */
function withFrames({ size, settings, ...call }: Call, numFrames: number): Call {
  const { decodeChunkSize } = settings;
  const chunk =
    decodeChunkSize <= MOST_FRAMES / 2
      ? decodeChunkSize
      : Math.ceil((decodeChunkSize * numFrames) / size.numFrames);
  return {
    ...call,
    size: { ...size, numFrames },
    settings: { ...settings, decodeChunkSize: chunk, ...chunkingOf(settings, numFrames) },
  };
}

/** Chunks of fewer frames, which powers of two divide. */
function chunkingOf({ forwardChunking }: MemorySettings, numFrames: number) {
  if (forwardChunking?.dim !== 0) return {};
  const size = Math.min(numFrames / 2, 2 ** Math.floor(Math.log2(forwardChunking.size)));
  return { forwardChunking: { size, dim: 0 } as const };
}

const withVideos = ({ size, ...call }: Call, videos: number): Call => ({
  ...call,
  size: { ...size, videos },
});

/** The memory of `count` things, from that of `few` and of twice as many. */
function* inProportion(
  models: StageModels,
  call: Call,
  count: number,
  few: number,
  withCount: (call: Call, count: number) => Call,
): Steps<Estimate> {
  const less = yield* estimateMemory(models, withCount(call, few));
  const more = yield* estimateMemory(models, withCount(call, 2 * few));
  const grown = (a: number, b: number) =>
    Math.ceil(b + (Math.max(0, b - a) * (count - 2 * few)) / few);
  const stages = more.stages.map((stage, i) => {
    const before = less.stages[i];
    return {
      ...stage,
      processBytes: grown(before.processBytes, stage.processBytes),
      largestBytes: grown(before.largestBytes, stage.largestBytes),
      blocks: stage.blocks.map(({ path, work }, j) => ({
        path,
        work: grown(before.blocks[j].work, work),
      })),
      ...(stage.deviceBytes !== undefined && {
        deviceBytes: grown(before.deviceBytes!, stage.deviceBytes),
      }),
    };
  });
  return { stages, ...highest(stages) };
}

function* estimateStages(
  models: StageModels,
  { device, tensorBytes, size, settings, offload }: Call,
): Steps<Estimate> {
  const stages = yield* models.stages({ device, tensorBytes }, size, settings);
  const { allocator } = behaviours[device];
  const arena = allocator === 'buffers' ? new BufferLists() : new Arena(allocator);
  const load = (name: ModelName, path?: string) =>
    models.weightsOf(name, path).map(({ bytes }) => arena.allocate(bytes));
  const free = (addresses: number[]) => {
    for (const address of addresses) if (address >= 0) arena.free(address);
  };
  const uploads =
    device.startsWith('tensorflow') && offload !== 'sequential'
      ? UPLOADS * largestWeight(models)
      : 0;
  arena.allocate(models.loraBytes(size));
  if (offload === 'none') for (const name of modelNames) load(name);
  const estimates = stages.map((stage) => {
    let read = 0;
    if (offload === 'sequential') {
      read = runInBlocks(arena, stage, load, free, models);
    } else {
      const weights = offload === 'model' ? load(stage.model) : [];
      const left = runStage(arena, stage);
      // Copies that kernels keep with weights live as long as these.
      if (offload === 'model') free([...weights, ...left]);
    }
    const { model, hostBytes } = stage;
    return {
      stage: stage.stage,
      model,
      largestBytes: Math.max(stage.largestBytes, largestWeight(models, [model])),
      blocks: stage.parts.map(({ name, work }) => ({ path: name, work })),
      ...bytesOf(device, arena.touchedBytes, uploads + hostBytes + GARBAGE * read),
    };
  });
  return { stages: estimates, ...highest(estimates) };
}

/**
 * A lower bound from the largest tensors: the first features of the pictures and of the UNet, and
 * the last ones of the frames that are decoded together. It needs no run, which takes minutes for
 * sizes far beyond the memory there is.
 */
export function leastMemory(models: StageModels, { device, size, settings }: Call): Estimate {
  const { pictures, decoded, guided } = size;
  const estimate = (
    stage: StageEstimate['stage'],
    model: ModelName,
    bytes: number,
  ): StageEstimate => ({
    ...{ stage, model, largestBytes: bytes, more: true, blocks: [] },
    ...bytesOf(device, bytes, 0),
  });
  const copies = guided && settings.guidanceTogether ? 2 : 1;
  const decodedAtOnce = Math.min(settings.decodeChunkSize, size.numFrames);
  const stages = [
    estimate('encoding', 'vae', models.featureBytes(size, pictures)),
    estimate('sampling', 'unet', models.unetFeatureBytes(size, copies)),
    ...(decoded ? [estimate('decoding', 'vae', models.featureBytes(size, decodedAtOnce))] : []),
  ];
  return { stages, ...highest(stages) };
}

function highest(stages: StageEstimate[]): Omit<Estimate, 'stages'> {
  const most = (of: (one: StageEstimate) => number) => Math.max(...stages.map(of));
  return {
    processBytes: most((one) => one.processBytes),
    ...(stages[0].deviceBytes !== undefined && { deviceBytes: most((one) => one.deviceBytes!) }),
  };
}

function largestWeight(models: StageModels, names: readonly ModelName[] = modelNames): number {
  const all = names.flatMap((name) => models.weightsOf(name));
  return all.reduce((most, { bytes }) => Math.max(most, bytes), 0);
}

/** Runs a stage block by block. Returns the addresses of what it leaves. */
function runStage(
  arena: Allocator,
  { trace, parts }: StageMemory,
  around: (block: number, run: () => void, addresses: number[]) => void = (_, run) => run(),
): number[] {
  const addresses = arena.run(trace, [], 0, parts[0]?.at);
  for (const [i, { at }] of parts.entries()) {
    arena.settle();
    around(i, () => arena.run(trace, addresses, at, parts[i + 1]?.at), addresses);
  }
  return addresses;
}

/**
 * Runs a stage with the weights of one block at a time. Returns the most bytes of weights that are
 * read ahead.
 */
function runInBlocks(
  arena: Allocator,
  stage: StageMemory,
  load: (name: ModelName, path: string) => number[],
  free: (addresses: number[]) => void,
  models: StageModels,
): number {
  const { model, parts, kept } = stage;
  let ahead = 0;
  const left = runStage(arena, stage, (i, run, addresses) => {
    const weights = load(model, parts[i].name);
    run();
    free(weights);
    for (const allocation of kept)
      if (allocation < addresses.length) arena.release(addresses, allocation);
    let next = 0;
    for (const { bytes } of models.weightsOf(model, parts[i + 1]?.name ?? '')) next += bytes;
    ahead = Math.max(ahead, next);
  });
  free(left);
  return ahead;
}

function bytesOf(
  device: Device,
  tensorBytes: number,
  hostBytes: number,
): Pick<StageEstimate, 'processBytes' | 'deviceBytes'> {
  const host = processBytes[device] + hostBytes;
  if (device === 'tensorflow-cpu') return { processBytes: host + tensorBytes };
  if (device === 'cpu') return { processBytes: host + GARBAGE * tensorBytes };
  const onDevice = deviceBytes[device]! + tensorBytes * (device === 'wasm' ? HEAP_SHARE : 1);
  return { processBytes: device === 'wasm' ? host + onDevice : host, deviceBytes: onDevice };
}
