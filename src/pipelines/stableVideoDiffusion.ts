/**
 * The sampling call, mirroring `StableVideoDiffusionPipeline` of diffusers'
 * `pipelines/stable_video_diffusion/pipeline_stable_video_diffusion.py`.
 */
import * as tf from '@tensorflow/tfjs';
import { TensorScope } from '../layers/index.ts';
import { clipPixelValues, framesToImages, vaePixelValues } from '../media/preprocess.ts';
import { DiagonalGaussianDistribution } from '../models/index.ts';
import { randnTensor } from '../random/randnTensor.ts';
import type { Components } from './components.ts';
import { fitIntoMemory } from './fitIntoMemory.ts';
import { channelsFirst } from './sampling/axes.ts';
import {
  type Condition,
  conditionBatches,
  guidanceScales,
  guide,
  isGuided,
} from './sampling/guidance.ts';
import { addedTimeIds, hostPictures, repeatEach, startLatents } from './sampling/inputs.ts';
import { ModelRunner, type RunOptions } from './sampling/modelRunner.ts';
import { asVideos, checkFinite, runStepCallback } from './sampling/stepCallback.ts';
import { type CallConstraints, type CallSettings, checkCall, latentShape } from './settings.ts';
import type {
  CallingPipeline,
  FloatArray,
  Frames,
  GenerateOptions,
  ImageInput,
  OutputType,
  Videos,
} from './types.ts';

/**
 * The sampling call, without loading: one still picture in, a short video out. It runs anywhere;
 * `StableVideoDiffusionPipeline` of `node.ts` and `browser.ts` adds loading.
 */
export class SamplingPipeline implements CallingPipeline {
  /** All its parts. */
  readonly components: Components;
  private readonly runner: ModelRunner;

  constructor(components: Components) {
    this.components = components;
    this.runner = new ModelRunner(components);
  }

  /** The VAE with the temporal decoder. */
  get vae() {
    return this.components.vae;
  }
  /** CLIP's image encoder. */
  get imageEncoder() {
    return this.components.imageEncoder;
  }
  /** The network that is called at each step. */
  get unet() {
    return this.components.unet;
  }
  /** The sampler. */
  get scheduler() {
    return this.components.scheduler;
  }

  private get constraints(): CallConstraints {
    const { numFrames, sampleSize } = this.unet.config;
    const { scaleFactor, config } = this.vae;
    return { numFrames, sampleSize, scaleFactor, latentChannels: config.latentChannels };
  }

  /**
   * Animates pictures. Random numbers are drawn as diffusers draws them, so equal seeds give equal
   * videos.
   *
   * @param image One picture, a list (one batch), or a tensor `[N, H, W, 3]` in [0, 1].
   * @throws Error if an argument is out of range or the latents are not finite; MemoryError if
   * there is too little memory; the signal's reason if it aborts. Nothing stays allocated then.
   */
  generate<T extends OutputType = 'image'>(
    image: ImageInput,
    options: GenerateOptions & { outputType?: T; returnDict: false },
  ): Promise<Frames[T]>;
  generate<T extends OutputType = 'image'>(
    image: ImageInput,
    options?: GenerateOptions & { outputType?: T; returnDict?: true },
  ): Promise<Videos<T>>;
  generate(
    image: ImageInput,
    options: GenerateOptions,
  ): Promise<Videos<OutputType> | Frames[OutputType]>;
  async generate(image: ImageInput, options: GenerateOptions = {}): Promise<unknown> {
    const checked = checkCall(image, options, this.constraints);
    // Before anything is computed, because it checks the sigmas.
    this.scheduler.setTimesteps(checked.sigmas ? null : checked.numInferenceSteps, {
      sigmas: checked.sigmas,
    });
    using fitted = fitIntoMemory(this.components, checked, options);
    const { settings } = fitted;
    using scope = new TensorScope();

    const imageEmbeddings = scope.keep(
      await this.runner.withWeights('imageEncoder', options, (options) =>
        this.encodeImage(image, settings, options),
      ),
    );
    const imageLatents = scope.keep(
      await this.runner.withWeights('vae', options, (options) =>
        this.encodeVaeImage(image, settings, options),
      ),
    );
    const ids = scope.tidy(() => addedTimeIds(settings, this.unet.config));
    await options.onStage?.('added_time_ids', await channelsFirst(ids));
    const conditions = { imageEmbeddings, imageLatents, addedTimeIds: ids };
    const latents = scope.keep(
      await this.runner.withWeights('unet', options, (options) =>
        this.denoise(conditions, settings, options),
      ),
    );
    const frames = await this.output(latents as tf.Tensor4D, settings, options);
    return options.returnDict === false ? frames : { frames };
  }

  /** Embeddings `[B, 1, C]` of the pictures as they came. */
  protected async encodeImage(
    image: ImageInput,
    { batch }: CallSettings,
    options: RunOptions,
  ): Promise<tf.Tensor> {
    const { imageEncoder } = this;
    const { imageSize } = imageEncoder.config;
    const { imageMean, imageStd } = this.components.featureExtractor;
    using scope = new TensorScope();
    const values = clipPixelValues(await hostPictures(image), imageSize, imageMean, imageStd);
    const pixels = scope.tidy(() => tf.tensor(values.data, values.shape));
    options.onBlock?.('preprocess');
    const { numSteps } = imageEncoder;
    let done = 0;
    const [embeds] = scope.keep(
      await this.runner.evaluate(
        'imageEncoder',
        { inputs: [pixels], replayKey: [], steps: (inputs) => imageEncoder.steps(inputs) },
        options,
        () => options.onProgress?.({ stage: 'encoding', step: ++done, steps: numSteps }),
      ),
    );
    const embeddings = scope.tidy(() => tf.reshape(embeds, [batch, 1, -1]));
    await options.onStage?.('image_embeddings', await channelsFirst(embeddings));
    return scope.release(embeddings);
  }

  /**
   * Latents `[B, h, w, C]` of the pictures at the size of the video, with noise added. Takes the
   * first draw.
   */
  protected async encodeVaeImage(
    image: ImageInput,
    { height, width, generator, noiseAugStrength, batch }: CallSettings,
    options: RunOptions,
  ): Promise<tf.Tensor> {
    const { vae } = this;
    const round = (n: number) => n - (n % vae.scaleFactor);
    using scope = new TensorScope();
    const values = vaePixelValues(await hostPictures(image), round(height), round(width));
    const [, h, w] = values.shape;
    const noise = scope.tidy(() => randnTensor(generator, [batch, 3, h, w]));
    await options.onStage?.('image_noise', await channelsFirst(noise));
    const noisy = scope.tidy(() =>
      tf.add(tf.tensor(values.data, values.shape), tf.mul(noise, noiseAugStrength)),
    ) as tf.Tensor4D;
    scope.free(noise);
    options.onBlock?.('preprocess');
    const moments = await this.runner.evaluate(
      'vae',
      { inputs: [noisy], replayKey: ['encode'], steps: ([x]) => vae.encodeSteps(x) },
      options,
    );
    const posterior = new DiagonalGaussianDistribution(moments);
    const latents = scope.keep(posterior.mode());
    posterior.dispose();
    await options.onStage?.('image_latents', await channelsFirst(latents));
    return scope.release(latents);
  }

  /** Goes from start noise to the final latents `[videos*F, h, w, C]`. */
  private async denoise(
    conditions: Record<'imageEmbeddings' | 'imageLatents' | 'addedTimeIds', tf.Tensor>,
    settings: CallSettings,
    options: RunOptions,
  ): Promise<tf.Tensor> {
    const { scheduler } = this;
    const { addedTimeIds } = conditions;
    const { numFrames, numVideosPerPrompt, minGuidanceScale, maxGuidanceScale } = settings;
    const scales = guidanceScales(minGuidanceScale, maxGuidanceScale, numFrames);
    const guided = isGuided(scales);
    using scope = new TensorScope();
    const conditional = scope.keep([
      repeatEach(conditions.imageEmbeddings, numVideosPerPrompt),
      repeatEach(conditions.imageLatents, numVideosPerPrompt * numFrames),
    ]) as Condition;
    const evaluations = guided
      ? conditionBatches(conditional, settings.guidanceTogether)
      : [conditional];
    scope.keep(evaluations.flat());
    const callbackTensors = { ...conditions, imageEmbeddings: conditional[0] };

    let latents = scope.tidy(() =>
      startLatents(settings, latentShape(settings, this.constraints), scheduler.initNoiseSigma),
    );
    await options.onStage?.('initial_latents', await channelsFirst(latents, numFrames));
    const timesteps = Array.from(scheduler.timesteps);
    options.onProgress?.({ stage: 'sampling', step: 0, steps: timesteps.length });
    for (const [step, timestep] of timesteps.entries()) {
      const velocities: tf.Tensor[] = [];
      for (const condition of evaluations) {
        velocities.push(
          scope.keep(
            await this.predict(latents, timestep, condition, addedTimeIds, settings, options),
          ),
        );
      }
      const before = latents;
      latents = scope.tidy(() => {
        const velocity = guided ? guide(tf.concat(velocities), scales) : velocities[0];
        return scheduler.step(velocity, timestep, before).prevSample;
      });
      scope.free(before, ...velocities);
      await checkFinite(latents, `${step + 1} of ${timesteps.length}`, this.unet.computeDtype);
      options.onBlock?.('scheduler');
      await options.onStage?.(`latents_step_${step}`, await channelsFirst(latents, numFrames));
      const ended = { step, timestep, tensors: { ...callbackTensors, latents } };
      latents = await runStepCallback(this, ended, settings, options, scope);
      options.onProgress?.({ stage: 'sampling', step: step + 1, steps: timesteps.length });
    }
    return scope.release(latents);
  }

  /**
   * The UNet's velocity `[copies*videos*F, h, w, C]` for latents `[videos*F, h, w, C]`, of which
   * `condition` takes one copy, or two with both halves of guidance.
   */
  private async predict(
    latents: tf.Tensor,
    timestep: number,
    [context, picture]: Condition,
    ids: tf.Tensor,
    { numFrames }: CallSettings,
    options: RunOptions,
  ): Promise<tf.Tensor> {
    const { unet, scheduler } = this;
    const copies = picture.shape[0] / latents.shape[0];
    using scope = new TensorScope();
    const input = scope.tidy(() => {
      const scaled = scheduler.scaleModelInput(latents, timestep);
      return tf.concat([tf.tile(scaled, [copies, 1, 1, 1]), picture], -1);
    });
    const [time, allIds] = scope.tidy(() => [tf.tensor1d([timestep]), tf.tile(ids, [copies, 1])]);
    return await this.runner.evaluate(
      'unet',
      {
        inputs: [input, time, context, allIds],
        replayKey: [numFrames, unet.forwardChunking],
        steps: (inputs) => unet.steps(inputs, { numFrames }),
      },
      options,
    );
  }

  /** The result in the form of `outputType`. */
  private async output(
    latents: tf.Tensor4D,
    { numFrames, decodeChunkSize, outputType }: CallSettings,
    options: GenerateOptions,
  ): Promise<Frames[OutputType]> {
    if (outputType === 'latent') return asVideos(latents, numFrames);
    const frames = await this.decodeLatents(latents, numFrames, decodeChunkSize, options);
    await options.onStage?.('frames', { data: frames.data.slice(), shape: frames.shape });
    if (outputType === 'array') return frames;
    if (outputType === 'tensor') return tf.tensor(frames.data, frames.shape);
    return framesToImages(frames);
  }

  /**
   * Decodes latents `[videos*F, h, w, C]` to frames `[videos, F, H, W, 3]` in [0, 1],
   * `decodeChunkSize` frames of a video at a time. Unlike upstream, no chunk mixes frames of two
   * videos.
   */
  decodeLatents(
    latents: tf.Tensor4D,
    numFrames: number,
    decodeChunkSize: number,
    options: RunOptions = {},
  ): Promise<FloatArray> {
    return this.runner.withWeights('vae', options, async (options) => {
      const [total, h, w] = latents.shape;
      const { scaleFactor, config } = this.vae;
      const size = [h * scaleFactor, w * scaleFactor, config.outChannels];
      const data = new Float32Array(total * tf.util.sizeFromShape(size));
      const perFrame = data.length / total;
      options.onProgress?.({ stage: 'decoding', step: 0, steps: total });
      for (let video = 0; video < total; video += numFrames) {
        for (let start = video; start < video + numFrames; start += decodeChunkSize) {
          const count = Math.min(decodeChunkSize, video + numFrames - start);
          data.set(await this.decodeFrames(latents, start, count, options), start * perFrame);
          options.onProgress?.({ stage: 'decoding', step: start + count, steps: total });
        }
      }
      return { data, shape: [total / numFrames, numFrames, ...size] };
    });
  }

  private async decodeFrames(
    latents: tf.Tensor4D,
    start: number,
    count: number,
    options: RunOptions,
  ): Promise<Float32Array> {
    const { vae } = this;
    using scope = new TensorScope();
    const scaled = scope.tidy(() =>
      tf.mul(tf.slice(latents, start, count), 1 / vae.config.scalingFactor),
    );
    const decoded = scope.keep(
      await this.runner.evaluate(
        'vae',
        {
          inputs: [scaled],
          replayKey: ['decode', count],
          steps: ([z]) => vae.decodeSteps(z, count),
        },
        options,
      ),
    );
    const pixels = scope.tidy(() => tf.clipByValue(tf.add(tf.div(decoded, 2), 0.5), 0, 1));
    const values = (await pixels.data()) as Float32Array;
    options.onBlock?.('postprocess');
    return values;
  }

  /** Frees all weights. The pipeline cannot be used afterwards. */
  dispose(): void {
    this.components.replays?.dispose();
    for (const model of [this.vae, this.imageEncoder, this.unet]) model.dispose();
  }

  /** The same, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}
