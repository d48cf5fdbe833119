/** The pipeline with loading from URLs, for browsers. */
import {
  CheckpointError,
  camelCaseConfig,
  checkWeights,
  loadWeights,
  readSafetensors,
  type WeightSource,
} from '../checkpoints/browser.ts';
import {
  components,
  TFJS,
  type WeightedComponent,
  weightFileNames,
} from '../checkpoints/diffusers/names.ts';
import { tfjsSource } from '../checkpoints/tfjs/source.ts';
import { type WebOptions, webExists, webFile, webJson } from '../checkpoints/web.ts';
import { type AnyBlock, withoutWeights } from '../layers/index.ts';
import { CLIP_MEAN, CLIP_STD } from '../media/preprocess.ts';
import { browserMemoryLimits } from '../memory/browserLimits.ts';
import type { ModelConfigs } from '../memory/stages.ts';
import { checkWasmLimit, float32Bytes } from '../memory/wasmLimit.ts';
import {
  AutoencoderKLTemporalDecoder,
  CLIPVisionModelWithProjection,
  UNetSpatioTemporalConditionModel,
} from '../models/index.ts';
import { deviceName } from '../ops/tensorflow/kernels.ts';
import { EulerDiscreteScheduler } from '../schedulers/index.ts';
import { callPlanner, givenSettings, sizeOfCall } from './callPlanner.ts';
import type { CallPlanner, FeatureExtractor } from './components.ts';
import { SamplingPipeline } from './stableVideoDiffusion.ts';
import type { PlannedCall, Progress } from './types.ts';

/** Options of `fromPretrained` in browsers. */
export interface UrlOptions extends Pick<WebOptions, 'cache' | 'signal'> {
  /** Takes the weight files with this word in their names, such as `fp16`. */
  variant?: string;
  /**
   * A call that is going to be made: if it cannot fit into memory, loading refuses before it
   * downloads any weights.
   */
  plannedFor?: PlannedCall;
  /** Called while files are downloaded, in bytes. */
  onProgress?: (progress: Progress) => void;
}

/** One still picture in, a short video out. */
export class StableVideoDiffusionPipeline extends SamplingPipeline {
  /**
   * Loads a pipeline onto the current backend from the folder at `url`, in diffusers' layout with
   * one weight file per component, or of TensorFlow.js artifacts. Files are kept in the browser's
   * cache.
   *
   * @throws If something of it is missing or cannot be had, weights do not fit, or there is too
   * little memory.
   */
  static async fromPretrained(
    url: string,
    options: UrlOptions = {},
  ): Promise<StableVideoDiffusionPipeline> {
    const base = new URL(url.endsWith('/') ? url : `${url}/`, globalThis.location?.href).href;
    const index = await webJson(`${base}model_index.json`, options);
    if (index._class_name !== 'StableVideoDiffusionPipeline') {
      throw new CheckpointError(
        `${base} holds no Stable Video Diffusion model. Give the address of a folder with its model_index.json.`,
      );
    }
    const config = async (name: keyof typeof components) =>
      webJson(`${base}${name}/${components[name].config}`, options);
    const camel = async (name: keyof typeof components) => camelCaseConfig(await config(name));
    const configs: ModelConfigs = {
      unet: await camel('unet'),
      vae: await camel('vae'),
      imageEncoder: await camel('image_encoder'),
    };
    const models = {
      image_encoder: new CLIPVisionModelWithProjection(configs.imageEncoder),
      unet: new UNetSpatioTemporalConditionModel(configs.unet),
      vae: new AutoencoderKLTemporalDecoder(configs.vae),
    };
    const planner = plannerHere(configs);
    const scheduler = EulerDiscreteScheduler.fromConfig(await config('scheduler'));
    const { imageMean = CLIP_MEAN, imageStd = CLIP_STD } = (await camel(
      'feature_extractor',
    )) as Partial<FeatureExtractor>;
    try {
      withoutWeights(() => {
        for (const model of Object.values(models)) model.build();
      });
      checkWasmLimit(
        float32Bytes(...Object.values(models)),
        'Use the webgpu backend or a smaller model.',
      );
      if (options.plannedFor)
        planner?.plan(
          sizeOfCall(options.plannedFor, models.unet.config.numFrames),
          givenSettings(options.plannedFor),
        );
      for (const [name, model] of Object.entries(models) as [WeightedComponent, AnyBlock][]) {
        const source = await weights(base, name, options);
        checkWeights(model, source, { label: name });
        await loadWeights(model, source, { label: name, signal: options.signal });
        await source.close();
      }
    } catch (error) {
      for (const model of Object.values(models)) model.dispose();
      throw error;
    }
    return new StableVideoDiffusionPipeline({
      ...{ vae: models.vae, unet: models.unet, imageEncoder: models.image_encoder },
      ...{ scheduler, featureExtractor: { imageMean, imageStd }, planner },
    });
  }
}

/**
 * Plans calls on the current backend, whose weights stay in memory. How much there is for the cpu
 * backend cannot be known.
 */
function plannerHere(configs: ModelConfigs): CallPlanner | undefined {
  const device = deviceName();
  if (device !== 'wasm' && device !== 'webgpu') return undefined;
  return callPlanner(configs, device, browserMemoryLimits, { offload: 'none' });
}

async function weights(
  base: string,
  component: WeightedComponent,
  { variant, onProgress, ...web }: UrlOptions,
): Promise<WeightSource> {
  const { single } = weightFileNames(component, variant);
  const folder = `${base}${component}/`;
  const onBytes = (_: string, step: number, steps = step) =>
    onProgress?.({ stage: 'downloading', step, steps });
  const open = (name: string) => webFile(folder + name, { ...web, onBytes });
  if (await webExists(folder + single, web)) return readSafetensors(await open(single));
  const artifact = folder + TFJS;
  if (variant === undefined && (await webExists(artifact, web)))
    return tfjsSource(artifact, await webJson(artifact, web), open, component);
  throw new CheckpointError(
    `${folder} has no ${variant === undefined ? `${single} or ${TFJS}` : single}. Give the address of a model in diffusers' or TensorFlow.js format.`,
  );
}
