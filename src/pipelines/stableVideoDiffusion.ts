/**
 * The sampling call, mirroring `StableVideoDiffusionPipeline` of diffusers'
 * `pipelines/stable_video_diffusion/pipeline_stable_video_diffusion.py`.
 */
import * as tf from '@tensorflow/tfjs-core';
import { TensorScope } from '../layers/index.ts';
import { clipPixelValues, framesToImages, vaePixelValues } from '../media/preprocess.ts';
import { DiagonalGaussianDistribution } from '../models/index.ts';
import { randnTensor } from '../random/randnTensor.ts';
import { misfitOf } from '../schedulers/byName.ts';
import type { Scheduler } from '../schedulers/index.ts';
import { type Components, partsOf } from './components.ts';
import { fitIntoMemory, planAhead } from './fitIntoMemory.ts';
import { checkGenerateOptions } from './options.ts';
import { CallState } from './resume/callState.ts';
import { channelsFirst } from './sampling/axes.ts';
import { checkLatents, type DecodeSizes, decode } from './sampling/decode.ts';
import { denoise } from './sampling/denoise.ts';
import { allFinite, checkFinite } from './sampling/finite.ts';
import { guidanceWarnings } from './sampling/guidance.ts';
import { addedTimeIds, checkGivenLatents } from './sampling/inputs.ts';
import { ModelRunner, type RunOptions } from './sampling/modelRunner.ts';
import { type HostPictures, hostPictures, stretchWarning } from './sampling/pictures.ts';
import { checkScheduler, type SampledCall, setSchedule } from './sampling/schedule.ts';
import { asVideos } from './sampling/stepCallback.ts';
import { type CallConstraints, type CallSettings, checkCall, latentShape } from './settings.ts';
import { callBack, freeAfterUse, inTurn, type TurnOptions } from './turns.ts';
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
  /** Undefined before TensorFlow.js has chosen one. */
  private readonly backend: string | undefined = tf.getBackend();
  private readonly warned = new Set<string>();

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
  /** The sampler. Another one is for the calls that are made from then on. */
  get scheduler(): Scheduler {
    return this.components.scheduler;
  }
  set scheduler(scheduler: Scheduler) {
    checkScheduler(scheduler);
    this.components.scheduler = scheduler;
  }

  private get constraints(): CallConstraints {
    const { numFrames, sampleSize } = this.unet.config;
    const { deepCacheBranches } = this.unet;
    const { scaleFactor, config } = this.vae;
    const { latentChannels } = config;
    return { numFrames, sampleSize, scaleFactor, latentChannels, deepCacheBranches };
  }

  /**
   * Animates pictures. Random numbers are drawn as diffusers draws them, so equal seeds give equal
   * videos. A call waits until earlier calls of the pipeline have ended.
   *
   * @param image One picture, a list (one batch), or a tensor `[N, H, W, 3]` in [0, 1].
   * @throws Error if an option is unknown or out of range, a stage is not finite, or the pipeline
   * has been disposed of; MemoryError if there is too little memory; the signal's reason if it
   * aborts, also while the call waits. Nothing stays allocated then.
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
    const { scheduler } = this;
    const settings = { ...checkCall(image, options, this.constraints), scheduler };
    this.warn(stretchWarning(image, settings));
    this.warn(misfitOf(scheduler));
    const { onStage, onState, ...others } = options;
    const parts = partsOf(this.components);
    const calls: GenerateOptions = {
      ...others,
      onStage: onStage && ((...stage) => callBack(parts, () => onStage(...stage))),
      onState: onState && ((state) => callBack(parts, () => onState(state))),
    };
    return this.inTurn(() => this.run(image, settings, calls), options);
  }

  private async run(image: ImageInput, checked: SampledCall, options: GenerateOptions) {
    const { scheduler } = checked;
    // Before anything is computed, because it checks the sigmas.
    setSchedule(scheduler, checked);
    for (const text of guidanceWarnings(checked)) this.warn(text);
    using _kept = { [Symbol.dispose]: () => scheduler.dispose() };
    const state = new CallState(checked, options.resumeFrom);
    options.signal?.throwIfAborted();
    await planAhead(this.components, checked, options);
    using fitted = fitIntoMemory(this.components, checked, options);
    const settings = { ...fitted.settings, scheduler };
    using scope = new TensorScope();
    const latents = scope.keep(
      state.isSampled ? state.restore() : await this.sample(image, settings, state, options),
    );
    const frames = await this.output(latents as tf.Tensor4D, settings, options);
    return options.returnDict === false ? frames : { frames };
  }

  /** Final latents `[videos*F, h, w, C]`. */
  private async sample(
    image: ImageInput,
    settings: SampledCall,
    state: CallState,
    options: GenerateOptions,
  ): Promise<tf.Tensor> {
    using scope = new TensorScope();
    const pictures = await hostPictures(image);
    await checkGivenLatents(settings.latents, settings.scheduler.initNoiseSigma);
    const imageEmbeddings = scope.keep(
      await this.runner.withWeights('imageEncoder', options, (options) =>
        this.encodeImage(pictures, settings, options),
      ),
    );
    const imageLatents = scope.keep(
      await this.runner.withWeights('vae', options, (options) =>
        this.encodeVaeImage(pictures, settings, options),
      ),
    );
    const ids = scope.tidy(() => addedTimeIds(settings, this.unet.config));
    await options.onStage?.('added_time_ids', await channelsFirst(ids));
    const conditions = { imageEmbeddings, imageLatents, addedTimeIds: ids };
    const shape = latentShape(settings, this.constraints);
    return await this.runner.withWeights('unet', options, (options) =>
      denoise(this, this.runner, conditions, shape, settings, state, options),
    );
  }

  /** Shows a sentence, each once. */
  protected warn(message: string | undefined): void {
    if (message === undefined || this.warned.has(message)) return;
    this.warned.add(message);
    console.warn(message);
  }

  /** Embeddings `[B, 1, C]` of the pictures as they came. */
  protected async encodeImage(
    pictures: HostPictures,
    { batch }: CallSettings,
    options: RunOptions,
  ): Promise<tf.Tensor> {
    const { imageEncoder } = this;
    const { imageSize } = imageEncoder.config;
    const { imageMean, imageStd } = this.components.featureExtractor;
    using scope = new TensorScope();
    const values = clipPixelValues(pictures, imageSize, imageMean, imageStd);
    if (!values.data.every(Number.isFinite)) {
      throw new Error(
        `The picture is not finite after normalisation by \`image_std\` [${imageStd}] of ` +
          'preprocessor_config.json.',
      );
    }
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
    await checkFinite(embeds, 'The image embeddings', imageEncoder);
    const embeddings = scope.tidy(() => tf.reshape(embeds, [batch, 1, -1]));
    await options.onStage?.('image_embeddings', await channelsFirst(embeddings));
    return scope.release(embeddings);
  }

  /**
   * Latents `[B, h, w, C]` of the pictures at the size of the video, with noise added. Takes the
   * first draw.
   */
  protected async encodeVaeImage(
    pictures: HostPictures,
    { height, width, generator, noiseAugStrength, batch }: CallSettings,
    options: RunOptions,
  ): Promise<tf.Tensor> {
    const { vae } = this;
    const round = (n: number) => n - (n % vae.scaleFactor);
    using scope = new TensorScope();
    const values = vaePixelValues(pictures, round(height), round(width));
    const [, h, w] = values.shape;
    const noise = scope.tidy(() => randnTensor(generator, [batch, 3, h, w]));
    await options.onStage?.('image_noise', await channelsFirst(noise));
    const noisy = scope.tidy(() =>
      tf.add(tf.tensor(values.data, values.shape), tf.mul(noise, noiseAugStrength)),
    ) as tf.Tensor4D;
    scope.free(noise);
    if (!(await allFinite(noisy))) {
      throw new Error(
        `The picture is not finite with the noise of \`noiseAugStrength\` ${noiseAugStrength}.`,
      );
    }
    options.onBlock?.('preprocess');
    const moments = await this.runner.evaluate(
      'vae',
      { inputs: [noisy], replayKey: ['encode'], steps: ([x]) => vae.encodeSteps(x) },
      options,
    );
    const posterior = new DiagonalGaussianDistribution(moments);
    const latents = scope.keep(posterior.mode());
    posterior.dispose();
    await checkFinite(latents, 'The picture latents', vae, {
      computeDtype: vae.config.forceUpcast ? 'float32' : vae.computeDtype,
    });
    await options.onStage?.('image_latents', await channelsFirst(latents));
    return scope.release(latents);
  }

  /** The result in the form of `outputType`. */
  private async output(
    latents: tf.Tensor4D,
    settings: CallSettings,
    options: GenerateOptions,
  ): Promise<Frames[OutputType]> {
    const { numFrames, outputType } = settings;
    if (outputType === 'latent') return asVideos(latents, numFrames);
    const frames = await this.decode(latents, settings, options);
    await options.onStage?.('frames', { data: frames.data.slice(), shape: frames.shape });
    if (outputType === 'array') return frames;
    if (outputType === 'tensor') return tf.tensor(frames.data, frames.shape);
    return framesToImages(frames);
  }

  /**
   * Decodes latents `[videos*F, h, w, C]` to frames `[videos, F, H, W, 3]` in [0, 1],
   * `decodeChunkSize` frames of a video at a time. Unlike upstream, no chunk mixes frames of two
   * videos. Waits for earlier calls, but runs at once within a callback.
   * @throws Error if the latents or sizes do not fit the model or each other, an option is unknown
   * or out of range, the frames are not finite, or the pipeline has been disposed of; the signal's
   * reason if it aborts.
   */
  async decodeLatents(
    latents: tf.Tensor4D,
    numFrames: number,
    decodeChunkSize: number,
    options: GenerateOptions = {},
  ): Promise<FloatArray> {
    checkGenerateOptions(options, 'decodeLatents');
    const sizes = { numFrames, decodeChunkSize };
    checkLatents(latents, sizes, this.vae);
    const { signal } = options;
    return this.inTurn(() => this.decode(latents, sizes, options), {
      signal,
      withinCallback: true,
    });
  }

  /** Frames `[videos, F, H, W, 3]` of latents `[videos*F, h, w, C]`. */
  protected decode(
    latents: tf.Tensor4D,
    sizes: DecodeSizes,
    options: RunOptions,
  ): Promise<FloatArray> {
    return this.runner.withWeights('vae', options, (options) =>
      decode(this.vae, this.runner, latents, sizes, options),
    );
  }

  /** Does `work` once earlier work with the same models has ended. */
  protected inTurn<T>(work: () => Promise<T>, options: TurnOptions): Promise<T> {
    const checked = () => {
      this.checkBackend();
      return work();
    };
    return inTurn(partsOf(this.components), checked, options);
  }

  private checkBackend(): void {
    const [own, current] = [this.backend, tf.getBackend()];
    if (own === undefined || own === current) return;
    throw new Error(
      `The pipeline is on the ${own} backend but the backend is ${current} now. Switch back by ` +
        `\`tf.setBackend('${own}')\` before the call.`,
    );
  }

  /**
   * Frees all weights, once the calls made before have ended: at once if there are none. The
   * pipeline cannot be used afterwards.
   */
  dispose(): void {
    freeAfterUse([this.vae, this.imageEncoder, this.unet], (models) => {
      this.components.replays?.dispose();
      for (const model of models) model.dispose();
      this.onFreed?.();
    });
  }

  /** Called when the weights have been freed. */
  protected onFreed?: () => void;

  /** The same, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}
