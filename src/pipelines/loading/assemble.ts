/** Loading of a pipeline's parts from a folder on disk. */

import { useBackend } from '../../backends/index.ts';
import {
  type Checkpoint,
  CheckpointError,
  camelCaseConfig,
  checkWeights,
  loadWeights,
  type WeightDtype,
  type WeightSource,
} from '../../checkpoints/index.ts';
import { type AnyBlock, withoutWeights } from '../../layers/index.ts';
import { CLIP_MEAN, CLIP_STD } from '../../media/preprocess.ts';
import { type MemoryLimits, memoryLimits } from '../../memory/limits.ts';
import type { Device } from '../../memory/shapes/allocators.ts';
import { checkWasmLimit, float32Bytes } from '../../memory/wasmLimit.ts';
import {
  AutoencoderKLTemporalDecoder,
  CLIPVisionModelWithProjection,
  UNetSpatioTemporalConditionModel,
} from '../../models/index.ts';
import { type ComputeDtype, computeDtypes, possibleComputeDtypes } from '../../ops/index.ts';
import { deviceName } from '../../ops/tensorflow/kernels.ts';
import { recordGraph } from '../../recording/recordGraph.ts';
import { Replays } from '../../recording/replay.ts';
import { EulerDiscreteScheduler } from '../../schedulers/index.ts';
import { callPlanner, givenSettings, sizeOfCall } from '../callPlanner.ts';
import type { CallPlanner, Components, FeatureExtractor } from '../components.ts';
import type { LoadOptions, PlannedCall } from '../types.ts';
import { modelConfigs } from './modelConfigs.ts';
import { type Models, offloadBlocks, offloadModels } from './offload.ts';

/** What brings weights in, by the option of the name. */
const offloads = { none: undefined, model: offloadModels, sequential: offloadBlocks };

/** How weights may be held, by the option of the name. */
const weightDtypes: readonly WeightDtype[] = ['auto', 'float32'];

function checkOption(name: string, value: string | undefined, allowed: readonly string[]): void {
  if (value !== undefined && !allowed.includes(value)) {
    throw new Error(`\`${name}\` has to be one of ${allowed.join(', ')} but is ${value}.`);
  }
}

/**
 * Reads every part of the pipeline in a checkpoint, with weights in the memory of the backend asked
 * for. Closes the checkpoint.
 */
export async function loadComponents(files: Checkpoint, options: LoadOptions): Promise<Components> {
  try {
    checkOption('offload', options.offload, Object.keys(offloads));
    checkOption('weightDtype', options.weightDtype, weightDtypes);
    const config = (component: Parameters<Checkpoint['config']>[0]) =>
      camelCaseConfig(files.config(component));
    const scheduler = EulerDiscreteScheduler.fromConfig(files.config('scheduler'));
    const { imageMean = CLIP_MEAN, imageStd = CLIP_STD } = config(
      'feature_extractor',
    ) as Partial<FeatureExtractor>;
    const models: Models = {
      image_encoder: new CLIPVisionModelWithProjection(config('image_encoder')),
      unet: new UNetSpatioTemporalConditionModel(config('unet')),
      vae: new AutoencoderKLTemporalDecoder(config('vae')),
    };
    const { name } = await useBackend(options.backend ?? 'auto', {
      threads: options.threads,
      tf32: options.tf32,
    });
    const { dtype = 'float32' } = options;
    checkComputeDtype(dtype, name);
    for (const model of [models.unet, models.vae]) model.computeDtype = dtype;
    const all: AnyBlock[] = Object.values(models);
    withoutWeights(() => {
      for (const model of all) model.build();
    });
    try {
      await check(models, files);
      const device = deviceName() as Device;
      const planner = callPlanner(await modelConfigs(files, device, options), device, () =>
        limitsOf(device, options),
      );
      const mode = options.plannedFor
        ? plan(planner, models.unet, options.plannedFor, options)
        : options.offload;
      const offload = offloads[mode ?? 'none']?.(files, models, options);
      if (mode !== 'sequential') {
        checkWasmLimit(
          offload ? Math.max(...all.map((model) => float32Bytes(model))) : float32Bytes(...all),
          "Use the tensorflow backend (`svd setup tensorflow`), `offload: 'sequential'` (`--offload sequential`), or a smaller model.",
        );
      }
      if (!offload) await fill(models, files, options);
      return {
        vae: models.vae,
        imageEncoder: models.image_encoder,
        unet: models.unet,
        scheduler,
        featureExtractor: { imageMean, imageStd },
        offload,
        planner,
        // A session takes its inputs from the processor's memory: on a card, every run would move
        // the weights there.
        replays: device === 'tensorflow-cpu' && !offload ? new Replays(recordGraph) : undefined,
      };
    } catch (error) {
      for (const model of all) model.dispose();
      throw error;
    }
  } finally {
    await files.close();
  }
}

/** The memory there is, or as much as was allowed. */
function limitsOf(device: Device, { memory }: LoadOptions): MemoryLimits {
  const limits = memoryLimits(device);
  return memory === undefined ? limits : { ...limits, processBytes: memory };
}

/** Plans the call that is going to be made, and gives where the weights shall be. */
function plan(
  planner: CallPlanner,
  unet: UNetSpatioTemporalConditionModel,
  call: PlannedCall,
  { offload, onPlan }: LoadOptions,
) {
  const size = sizeOfCall(call, unet.config.numFrames);
  const chosen = planner.plan(size, givenSettings(call, offload));
  onPlan?.(chosen);
  return chosen.offload;
}

/** Refuses what a backend cannot compute in, with what it can. */
function checkComputeDtype(dtype: ComputeDtype, backend: string): void {
  const possible = possibleComputeDtypes();
  if (possible.includes(dtype)) return;
  const elsewhere =
    backend === 'tensorflow' || !computeDtypes.includes(dtype)
      ? ''
      : ' float16 and bfloat16 need the tensorflow backend.';
  throw new Error(
    `\`dtype\` has to be ${possible.join(' or ')} on the ${backend} backend but is ${dtype}.${elsewhere}`,
  );
}

/**
 * Compares the weights of all models with their files, and reports what does not fit in one error.
 */
async function check(models: Models, files: Checkpoint): Promise<void> {
  const problems: string[] = [];
  for (const [label, model] of Object.entries(models) as [keyof Models, AnyBlock][]) {
    const source = await files.weights(label);
    try {
      checkWeights(model, source, { label });
    } catch (error) {
      problems.push((error as Error).message);
    }
  }
  if (problems.length > 0) throw new CheckpointError(problems.join(' '));
}

async function fill(
  models: Models,
  files: Checkpoint,
  { weightDtype = 'auto', onProgress, signal }: LoadOptions,
): Promise<void> {
  const entries = Object.entries(models) as [keyof Models, AnyBlock][];
  const sources = await Promise.all(entries.map(([label]) => files.weights(label)));
  const sizes = entries.map(([, model], i) => bytesInFile(model, sources[i]));
  const steps = sizes.reduce((sum, bytes) => sum + bytes, 0);
  let before = 0;
  let reported = 0;
  onProgress?.({ stage: 'loading', step: 0, steps });
  for (const [i, [label, model]] of entries.entries()) {
    await loadWeights(model, sources[i], {
      label,
      weightDtype,
      signal,
      onProgress: (done) => {
        const step = before + done;
        if (step < steps && step - reported < steps / 100) return; // there are thousands of tensors
        reported = step;
        onProgress?.({ stage: 'loading', step, steps });
      },
    });
    before += sizes[i];
  }
}

/** What `loadWeights` reads for a model. */
function bytesInFile(model: AnyBlock, source: WeightSource): number {
  return model.parameters().reduce((sum, { key }) => sum + source.info(key).bytes, 0);
}
