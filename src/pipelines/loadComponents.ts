/** Loading of a pipeline's parts from a folder on disk. */
import * as tf from '@tensorflow/tfjs';
import { useBackend } from '../backends/index.ts';
import { CheckpointError, camelCaseConfig, checkWeights, loadWeights, type ModelFolder, openModelFolder } from '../checkpoints/index.ts';
import { type AnyBlock, withoutWeights } from '../layers/index.ts';
import { CLIP_MEAN, CLIP_STD } from '../media/preprocess.ts';
import { AutoencoderKLTemporalDecoder, CLIPVisionModelWithProjection, UNetSpatioTemporalConditionModel } from '../models/index.ts';
import { EulerDiscreteScheduler } from '../schedulers/index.ts';
import type { Components } from './stableVideoDiffusion.ts';
import type { LoadOptions } from './types.ts';

/** Reads every part of the pipeline in `folder`, with weights in the memory of the backend asked for. */
export async function loadComponents(folder: string, options: LoadOptions): Promise<Components> {
  const files = await openModelFolder(folder, { variant: options.variant });
  try {
    const config = (component: Parameters<ModelFolder['config']>[0]) => camelCaseConfig(files.config(component));
    const scheduler = EulerDiscreteScheduler.fromConfig(files.config('scheduler'));
    const { imageMean, imageStd } = config('feature_extractor') as { imageMean?: number[]; imageStd?: number[] };
    const models = {
      image_encoder: new CLIPVisionModelWithProjection(config('image_encoder')),
      unet: new UNetSpatioTemporalConditionModel(config('unet')),
      vae: new AutoencoderKLTemporalDecoder(config('vae')),
    };
    await useBackend(options.backend ?? 'auto', { threads: options.threads });
    withoutWeights(() => {
      for (const model of Object.values(models)) model.build();
    });
    try {
      await fill(models, files, options);
    } catch (error) {
      for (const model of Object.values(models)) model.dispose();
      throw error;
    }
    return {
      vae: models.vae,
      imageEncoder: models.image_encoder,
      unet: models.unet,
      scheduler,
      featureExtractor: {
        imageMean: imageMean ?? CLIP_MEAN,
        imageStd: imageStd ?? CLIP_STD,
      },
    };
  } finally {
    await files.close();
  }
}

type Models = Record<'image_encoder' | 'unet' | 'vae', AnyBlock>;

async function fill(models: Models, files: ModelFolder, { onProgress, signal }: LoadOptions): Promise<void> {
  const parts = await Promise.all(
    (Object.keys(models) as (keyof Models)[]).map(async (label) => ({ label, model: models[label], source: await files.weights(label) })),
  );
  const problems = parts.flatMap(({ label, model, source }) => {
    try {
      checkWeights(model, source, { label });
      return [];
    } catch (error) {
      return [error as Error];
    }
  });
  if (problems.length > 0) throw new CheckpointError(problems.map(({ message }) => message).join(' '));

  const count = ({ model }: { model: AnyBlock }) =>
    model.parameters().reduce((sum, { variable }) => sum + tf.util.sizeFromShape(variable.shape as number[]), 0);
  const total = parts.reduce((sum, part) => sum + count(part), 0);
  checkRoom(4 * total);
  let before = 0;
  for (const part of parts) {
    const percent = (share: number) => Math.round((100 * (before + share * count(part))) / total);
    await loadWeights(part.model, part.source, {
      label: part.label,
      signal,
      onProgress: (done, bytes) => onProgress?.({ stage: 'loading', step: percent(done / bytes), steps: 100 }),
    });
    before += count(part);
  }
}

/** Refuses weights that cannot fit into WebAssembly's 4 GiB, where convolution and matrix kernels keep a packed copy of each. */
function checkRoom(weightBytes: number): void {
  const gib = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
  if (tf.getBackend() === 'wasm' && 2 * weightBytes > 3.5 * 2 ** 30) {
    throw new Error(
      `The weights take ${gib(2 * weightBytes)} on the wasm backend, whose memory ends at 4 GiB. ` +
        'Use the tensorflow backend (`svd setup tensorflow`), or a smaller model.',
    );
  }
}
