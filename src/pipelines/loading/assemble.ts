/** Makes the parts of a pipeline from an open checkpoint, in Node and in browsers. */

import * as tf from '@tensorflow/tfjs';
import {
  type Checkpoint,
  CheckpointError,
  camelCaseConfig,
  checkWeights,
  loadWeights,
  type WeightSource,
} from '../../checkpoints/browser.ts';
import type { AnyBlock } from '../../layers/index.ts';
import { CLIP_MEAN, CLIP_STD } from '../../media/preprocess.ts';
import type { MemoryLimits } from '../../memory/limits.ts';
import type { OffloadMode } from '../../memory/offloadModes.ts';
import type { Device } from '../../memory/shapes/allocators.ts';
import { checkWasmLimit, float32Bytes } from '../../memory/wasmLimit.ts';
import { declareModels, type Models } from '../../models/declareModels.ts';
import type { ModelName } from '../../models/names.ts';
import { deviceName } from '../../ops/device.ts';
import { type ComputeDtype, computeDtypes, possibleComputeDtypes } from '../../ops/index.ts';
import { type RecordGraph, Replays } from '../../recording/replay.ts';
import { EulerDiscreteScheduler } from '../../schedulers/index.ts';
import { callPlanner, givenSettings, runPlanning, sizeOfCall } from '../callPlanner.ts';
import type { Components, FeatureExtractor, Offload } from '../components.ts';
import type { LoadOptions } from '../types.ts';
import { componentOf, modelConfigs } from './modelConfigs.ts';

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

type Sources = Record<ModelName, WeightSource>;

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
  const scheduler = EulerDiscreteScheduler.fromConfig(files.config('scheduler'));
  const configs = await modelConfigs(files, device, options);
  const models = declareModels(configs);
  try {
    let sources = remote ? undefined : await openSources(models, files);
    const sizes = Object.values(models).map((model) => float32Bytes(model));
    // Where all weights have to stay in memory, no smaller video would help.
    if (!offloads) checkWasmLimit(sum(sizes), wasmAdvice);
    const forced = offloads ? {} : ({ offload: 'none' } as const);
    const planner = limits && callPlanner(configs, device, limits, forced);
    const mode = (await planOffload(models, options, planner)) ?? 'none';
    if (mode === 'none') checkWasmLimit(sum(sizes), wasmAdvice);
    if (mode === 'model') checkWasmLimit(Math.max(...sizes), wasmAdvice);
    sources ??= await openSources(models, files);
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
  const config: Partial<FeatureExtractor> = camelCaseConfig(files.config('feature_extractor'));
  return { imageMean: config.imageMean ?? CLIP_MEAN, imageStd: config.imageStd ?? CLIP_STD };
}

/** Refuses a type that the current backend cannot compute in, and names those that it can. */
function checkComputeDtype(dtype: ComputeDtype): void {
  const possible = possibleComputeDtypes();
  if (possible.includes(dtype)) return;
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

/** Plans the call of `plannedFor`, and returns where the weights are to be. */
async function planOffload(
  { unet }: Models,
  { plannedFor, offload, onPlan, signal }: AssembleOptions,
  planner?: ReturnType<typeof callPlanner>,
): Promise<OffloadMode | undefined> {
  if (!planner || !plannedFor) return offload;
  const size = sizeOfCall(plannedFor, unet.config.numFrames);
  const steps = planner.planInSteps(size, givenSettings(plannedFor, offload));
  const plan = await runPlanning(steps, signal);
  onPlan?.(plan);
  return plan.offload;
}

/**
 * Opens the weights of all models and compares them with the models.
 * @throws CheckpointError that lists what does not fit in any of them.
 */
async function openSources(models: Models, files: Checkpoint): Promise<Sources> {
  const sources: Partial<Sources> = {};
  const problems: string[] = [];
  for (const [name, model] of entriesOf(models)) {
    const label = componentOf[name];
    const source = await files.weights(label);
    sources[name] = source;
    try {
      checkWeights(model, source, { label });
    } catch (error) {
      problems.push((error as Error).message);
    }
  }
  if (problems.length > 0) throw new CheckpointError(problems.join(' '));
  return sources as Sources;
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
