/** Makes the parts of a pipeline from an open checkpoint, in Node and in browsers. */

import * as tf from '@tensorflow/tfjs-core';
import {
  type Checkpoint,
  CheckpointError,
  loadWeights,
  type WeightSource,
} from '../../checkpoints/browser.ts';
import { modelConfig } from '../../checkpoints/configs/schemas.ts';
import { savedDtypes } from '../../checkpoints/safetensors/dtypes.ts';
import { checkModelWeights, passOver } from '../../checkpoints/weights/load.ts';
import type { AnyBlock } from '../../layers/index.ts';
import { CLIP_MEAN, CLIP_STD } from '../../media/preprocess.ts';
import type { MemoryLimits } from '../../memory/limits.ts';
import type { OffloadMode } from '../../memory/offloadModes.ts';
import type { Device } from '../../memory/shapes/allocators.ts';
import type { ModelConfigs } from '../../memory/stages.ts';
import { checkWasmLimit, float32Bytes } from '../../memory/wasmLimit.ts';
import { declareModels, type Models } from '../../models/declareModels.ts';
import { checkBranch } from '../../models/deepCache.ts';
import type { ModelName } from '../../models/names.ts';
import { deviceName } from '../../ops/device.ts';
import { holdsHalves } from '../../ops/halfWeights/halfWeights.ts';
import { type ComputeDtype, canComputeIn, computeDtypes, halfGain } from '../../ops/index.ts';
import { type RecordGraph, Replays } from '../../recording/replay.ts';
import { schedulerFromConfig } from '../../schedulers/index.ts';
import { messageOf } from '../../text/messages.ts';
import { callPlanner, givenSettings, runPlanning, sizeOfCall } from '../callPlanner.ts';
import type { Components, FeatureExtractor, Offload } from '../components.ts';
import { branchOf } from '../sampling/deepCache.ts';
import type { LoadOptions } from '../types.ts';
import { componentOf, modelConfigs, openSources, type Sources } from './modelConfigs.ts';

/** The parts of loading that depend on where the pipeline runs: Node or a browser. */
export interface Environment {
  /** Finds the memory there is, at each call. Without it, calls are not planned. */
  limits?: () => Partial<MemoryLimits>;
  /** Whether weights are downloaded, so that calls are planned before weights are asked for. */
  remote?: boolean;
  /**
   * Makes the offload of each mode, which reads weights from the checkpoint opened anew. Without
   * it, all weights stay in memory.
   */
  offloads?: Record<
    Offload['mode'],
    (checkpoint: Checkpoint, models: Models, options: AssembleOptions) => Offload
  >;
  /** Records the graphs of models that are called again and again. */
  recordGraph?: RecordGraph;
  /** A sentence about what to do if the weights do not fit into WebAssembly's memory. */
  wasmAdvice: string;
}

/** The options of `fromPretrained` that do not depend on where the pipeline runs. */
export type AssembleOptions = Pick<
  LoadOptions,
  'dtype' | 'weightDtype' | 'offload' | 'plannedFor' | 'onPlan' | 'onProgress' | 'signal'
>;

const entriesOf = (models: Models) => Object.entries(models) as [ModelName, AnyBlock][];

/**
 * Makes every part of the pipeline in a checkpoint, with weights in the memory of the current
 * backend, and closes the checkpoint.
 * @throws Error if `dtype` is not for this backend; CheckpointError if weights are missing or do
 * not fit the configs; MemoryError if there is too little memory; the signal's reason if it aborts.
 */
export async function assemble(
  checkpoint: Checkpoint,
  { limits, remote, offloads, recordGraph, wasmAdvice }: Environment,
  options: AssembleOptions,
): Promise<Components> {
  await using files = checkpoint;
  checkComputeDtype(options.dtype ?? 'float32');
  const device = deviceName() as Device;
  const { dtype = 'float32', weightDtype = 'auto' } = options;
  const gain = halfGain(dtype);
  if (gain && !gain.pays) console.warn(`${dtype} saves no time here. ${gain.finding}`);
  const scheduler = schedulerFromConfig(files.config('scheduler'));
  // Their names limit what the configs may ask for, before anything is built of these. Of weights
  // that are not here yet, only planning may need them: for how they are held.
  const isPlannedBlind = remote && !(weightDtype === 'auto' && holdsHalves(device));
  let sources = isPlannedBlind ? undefined : await openSources(files);
  const configs = modelConfigs(files, device, options, sources);
  const models = declared(files, configs);
  try {
    if (sources) checkSources(models, sources);
    const sizes = Object.values(models).map((model) => float32Bytes(model));
    // Where all weights have to stay in memory, no smaller video would help.
    if (!offloads) checkWasmLimit(sum(sizes), wasmAdvice);
    const forced = offloads ? {} : ({ offload: 'none' } as const);
    const planner = limits && callPlanner(configs, device, limits, forced);
    const mode = (await planOffload(models, options, planner)) ?? 'none';
    if (mode === 'none') checkWasmLimit(sum(sizes), wasmAdvice);
    if (mode === 'model') checkWasmLimit(Math.max(...sizes), wasmAdvice);
    await files.fetch?.();
    if (!sources) sources = checkSources(models, await openSources(files));
    else if (remote) sources = await openSources(files); // from where they have come to
    if (gain?.pays && weightDtype === 'auto' && !isStoredIn(sources.unet, dtype))
      console.warn(`Weights are rounded to ${dtype} once, as they are read.`);
    const offload = mode === 'none' ? undefined : offloads?.[mode](files, models, options);
    if (!offload) await fill(models, sources, options);
    const replays = recordGraph && !offload ? new Replays(recordGraph) : undefined;
    return {
      ...models,
      ...{ scheduler, featureExtractor: featureExtractor(files), offload, planner, replays },
    };
  } catch (error) {
    for (const model of Object.values(models)) model.dispose();
    throw error;
  }
}

const sum = (numbers: number[]) => numbers.reduce((total, n) => total + n, 0);

function featureExtractor(files: Checkpoint): FeatureExtractor {
  const config: Partial<FeatureExtractor> = modelConfig(
    'feature_extractor',
    files.config('feature_extractor'),
  );
  return { imageMean: config.imageMean ?? CLIP_MEAN, imageStd: config.imageStd ?? CLIP_STD };
}

/** Refuses a type that the current backend cannot compute in, and names those that it can. */
function checkComputeDtype(dtype: ComputeDtype): void {
  if (computeDtypes.includes(dtype) && canComputeIn(dtype)) return;
  const possible = computeDtypes.filter(canComputeIn);
  const backend = tf.getBackend();
  const elsewhere =
    backend === 'tensorflow' || !computeDtypes.includes(dtype)
      ? ''
      : ' float16 and bfloat16 need the tensorflow backend.';
  throw new Error(
    `\`dtype\` has to be ${possible.join(' or ')} on the ${backend} backend but is ` +
      `${dtype}.${elsewhere}`,
  );
}

/** Whether all tensors of a source are of the type that `dtype` names. */
const isStoredIn = (source: WeightSource, dtype: ComputeDtype) =>
  source.names().every((name) => source.info(name).dtype === savedDtypes[dtype]);

/** Plans the call of `plannedFor`, and returns where the weights are to be. */
async function planOffload(
  { unet }: Models,
  { plannedFor, offload, onPlan, signal }: AssembleOptions,
  planner?: ReturnType<typeof callPlanner>,
): Promise<OffloadMode | undefined> {
  if (!planner || !plannedFor) return offload;
  if (plannedFor.deepCache) checkBranch(branchOf(plannedFor.deepCache), unet.deepCacheBranches);
  const size = sizeOfCall(plannedFor, unet.config.numFrames);
  const steps = planner.planInSteps(size, givenSettings(plannedFor, offload));
  const plan = await runPlanning(steps, signal);
  onPlan?.(plan);
  return plan.offload;
}

/** Declares the models. @throws CheckpointError if the configs are not those of such models. */
function declared(files: Checkpoint, configs: ModelConfigs): Models {
  try {
    return declareModels(configs);
  } catch (error) {
    throw new CheckpointError(
      `The configs of ${files.path} are not those of a Stable Video Diffusion model. ` +
        messageOf(error),
      { cause: error },
    );
  }
}

/**
 * Compares weights with the models. Warns of tensors that a model has no place for.
 * @throws CheckpointError that lists what does not fit in any of them.
 */
function checkSources(models: Models, sources: Sources): Sources {
  const problems: string[] = [];
  for (const [name, model] of entriesOf(models)) {
    try {
      const surplus = checkModelWeights(model, sources[name], componentOf[name]);
      if (surplus !== undefined) console.warn(surplus);
    } catch (error) {
      problems.push(messageOf(error));
    }
  }
  if (problems.length > 0) throw new CheckpointError(problems.join(' '));
  return sources;
}

/** Fills the models, and closes the source of each that is full. */
async function fill(
  models: Models,
  sources: Sources,
  { weightDtype = 'auto', onProgress, signal }: AssembleOptions,
): Promise<void> {
  const steps = sum(entriesOf(models).map(([name, model]) => bytesInFile(model, sources[name])));
  let before = 0;
  let reported = 0;
  onProgress?.({ stage: 'loading', step: 0, steps });
  for (const [name, model] of entriesOf(models)) {
    const bytes = bytesInFile(model, sources[name]);
    await loadWeights(model, sources[name], {
      label: componentOf[name],
      ignore: passOver,
      weightDtype,
      signal,
      onProgress: (done) => {
        const step = before + done;
        if (step < steps && step - reported < steps / 100) return; // there are thousands of tensors
        reported = step;
        onProgress?.({ stage: 'loading', step, steps });
      },
    });
    before += bytes;
    await sources[name].close();
  }
}

/** The bytes that `loadWeights` reads for a model. */
const bytesInFile = (model: AnyBlock, source: WeightSource) =>
  sum(model.parameters().map(({ key }) => source.info(key).bytes));
