/**
 * The sampling call, mirroring `StableVideoDiffusionPipeline` of diffusers'
 * `pipelines/stable_video_diffusion/pipeline_stable_video_diffusion.py`.
 */
import * as tf from '@tensorflow/tfjs';
import { Held, runSteps } from '../layers/index.ts';
import type { RgbImage } from '../media/image.ts';
import { clipPixelValues, framesToImages, vaePixelValues } from '../media/preprocess.ts';
import { DiagonalGaussianDistribution } from '../models/index.ts';
import type { ModelName } from '../models/names.ts';
import { randnTensor } from '../random/randnTensor.ts';
import type { Evaluation } from '../recording/replay.ts';
import { channelsFirst } from './axes.ts';
import type { Components } from './components.ts';
import { fitIntoMemory } from './fitIntoMemory.ts';
import { guidanceScales, guide } from './guidance.ts';
import { type CallConstraints, type CallSettings, checkCall, latentShape } from './settings.ts';
import type {
  CallbackTensors,
  CallingPipeline,
  FloatArray,
  Frames,
  GenerateOptions,
  ImageInput,
  OutputType,
  Videos,
} from './types.ts';
import { type CallWatch, stepOptions } from './watch.ts';

/**
 * What the UNet is told besides the noisy latents, for one half of guidance or both: `[B, 1, C]`
 * and, for every frame, `[B*F, h, w, C]`.
 */
type Condition = [context: tf.Tensor, picture: tf.Tensor];

/**
 * The sampling call, without loading: one still picture in, a short video out. It runs anywhere;
 * `StableVideoDiffusionPipeline` of `node.ts` and `browser.ts` adds loading.
 */
export class SamplingPipeline implements CallingPipeline {
  /** Its parts. */
  readonly components: Components;

  constructor(components: Components) {
    this.components = components;
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

  private get facts(): CallConstraints {
    const { numFrames, sampleSize } = this.unet.config;
    return {
      numFrames,
      sampleSize,
      scaleFactor: this.vae.scaleFactor,
      latentChannels: this.vae.config.latentChannels,
    };
  }

  /**
   * Animates pictures. Random numbers are drawn as diffusers draws them, so equal seeds give equal
   * videos.
   *
   * @param image One picture, a list (one batch), or a tensor `[N, H, W, 3]` in [0, 1].
   * @throws If an argument is out of range, the latents stop being finite, or `signal` aborts.
   * Nothing stays allocated then.
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
    const checked = checkCall(image, options, this.facts);
    const scales = guidanceScales(
      checked.minGuidanceScale,
      checked.maxGuidanceScale,
      checked.numFrames,
    );
    const { scheduler } = this;
    // Before anything is computed, because it checks the sigmas.
    scheduler.setTimesteps(checked.sigmas ? null : checked.numInferenceSteps, {
      sigmas: checked.sigmas,
    });
    using fitted = fitIntoMemory(this.components, checked, options);
    const { settings } = fitted;
    const held = new Held();
    try {
      const embeddings = held.adopt(
        await this.using('imageEncoder', options, (watch) =>
          this.encodeImage(image, settings, watch),
        ),
      );
      const pictures = held.adopt(
        await this.using('vae', options, (watch) => this.encodePicture(image, settings, watch)),
      );
      const ids = held.hold(() => this.addedTimeIds(settings));
      await options.onStage?.('added_time_ids', await channelsFirst(ids));
      const conditional = held.hold(() => this.condition(embeddings, pictures, settings));
      const shown = { imageEmbeddings: conditional[0], imageLatents: pictures, addedTimeIds: ids };
      const latents = await this.using('unet', options, (watch) =>
        this.sample(conditional, scales, shown, settings, watch, held),
      );
      const frames = await this.output(latents, settings, options, held);
      return options.returnDict === false ? frames : { frames };
    } finally {
      held.freeAll();
    }
  }

  /** Does `work` with the weights of a model in memory, or with what brings them there. */
  private async using<T, W extends CallWatch>(
    model: ModelName,
    watch: W,
    work: (watch: W) => Promise<T>,
  ): Promise<T> {
    const { offload } = this.components;
    if (!offload) return work(watch);
    try {
      const weights = await offload.load(model, watch.signal);
      watch.onBlock?.('offload');
      return await work({ ...watch, weights });
    } finally {
      await offload.release(model);
    }
  }

  /**
   * Evaluates a model, whose blocks are reported under `path`: from a recording, if there may be
   * one and nobody times the blocks.
   */
  private evaluate<T extends tf.Tensor | tf.Tensor[]>(
    evaluation: Evaluation<T>,
    path: string,
    watch: CallWatch,
    onStep?: () => void,
  ): Promise<T> {
    const { replays } = this.components;
    const options = stepOptions(watch, path, onStep);
    if (replays && !watch.onBlock) return replays.run(evaluation, options);
    return runSteps(evaluation.steps(evaluation.inputs), options);
  }

  /** Goes from start noise to the final latents `[videos*F, h, w, C]`, which are held. */
  private async sample(
    conditional: Condition,
    scales: number[],
    shown: Record<'imageEmbeddings' | 'imageLatents' | 'addedTimeIds', tf.Tensor>,
    settings: CallSettings,
    options: GenerateOptions & CallWatch,
    held: Held,
  ): Promise<tf.Tensor> {
    const { scheduler } = this;
    const guided = scales.some((scale) => scale > 1);
    const conditions = guided ? halvesOf(conditional, settings, held) : [conditional];
    let latents = held.hold(() => this.startLatents(settings));
    await options.onStage?.('initial_latents', await channelsFirst(latents, settings.numFrames));
    const timesteps = Array.from(scheduler.timesteps);
    options.onProgress?.({ stage: 'sampling', step: 0, steps: timesteps.length });
    for (const [step, timestep] of timesteps.entries()) {
      const velocities: tf.Tensor[] = [];
      for (const condition of conditions) {
        velocities.push(
          held.adopt(
            await this.predict(latents, timestep, condition, shown.addedTimeIds, settings, options),
          ),
        );
      }
      const before = latents;
      latents = held.hold(() => {
        const velocity = guided ? guide(tf.concat(velocities), scales) : velocities[0];
        return scheduler.step(velocity, timestep, before).prevSample;
      });
      held.free(before, ...velocities);
      if (!(await allFinite(latents))) {
        throw new Error(
          `The latents are not finite after step ${step + 1} of ${timesteps.length}. ` +
            (this.unet.computeDtype === 'float16'
              ? 'float16 ends at 65504: try bfloat16 or float32.'
              : 'The weights may be broken: check the model folder, or try the float32 files.'),
        );
      }
      options.onBlock?.('scheduler');
      await options.onStage?.(
        `latents_step_${step}`,
        await channelsFirst(latents, settings.numFrames),
      );
      latents = await this.afterStep(
        step,
        timestep,
        { ...shown, latents },
        settings,
        options,
        held,
      );
      options.onProgress?.({ stage: 'sampling', step: step + 1, steps: timesteps.length });
    }
    return latents;
  }

  /** Embeddings `[B, 1, C]` of the pictures as they came. */
  protected async encodeImage(
    image: ImageInput,
    { batch }: CallSettings,
    options: GenerateOptions & CallWatch,
  ): Promise<tf.Tensor> {
    const { imageMean, imageStd } = this.components.featureExtractor;
    const { imageEncoder } = this;
    // besides the layers: embeddings, two normalisations and the projection
    const steps = imageEncoder.config.numHiddenLayers + 4;
    const held = new Held();
    try {
      const values = clipPixelValues(
        await hostPictures(image),
        imageEncoder.config.imageSize,
        imageMean,
        imageStd,
      );
      const pixels = held.hold(() => tf.tensor(values.data, values.shape));
      let done = 0;
      const onStep = () => options.onProgress?.({ stage: 'encoding', step: ++done, steps });
      options.onBlock?.('preprocess');
      const evaluation = {
        model: imageEncoder,
        inputs: [pixels],
        settings: [],
        steps: (inputs: tf.Tensor[]) => imageEncoder.steps(inputs),
      };
      const [embeds] = held.adopt(
        await this.evaluate(evaluation, 'image_encoder', options, onStep),
      );
      const embeddings = held.hold(() => tf.reshape(embeds, [batch, 1, -1]));
      await options.onStage?.('image_embeddings', await channelsFirst(embeddings));
      return held.give(embeddings);
    } finally {
      held.freeAll();
    }
  }

  /**
   * Latents `[B, h, w, C]` of the pictures at the size of the video, with noise added. Takes the
   * first draw.
   */
  protected async encodePicture(
    image: ImageInput,
    settings: CallSettings,
    options: GenerateOptions & CallWatch,
  ): Promise<tf.Tensor> {
    const { batch, height, width, generator, noiseAugStrength } = settings;
    const round = (n: number) => n - (n % this.vae.scaleFactor);
    const held = new Held();
    try {
      const values = vaePixelValues(await hostPictures(image), round(height), round(width));
      const noise = held.hold(() =>
        randnTensor(generator, [batch, 3, values.shape[1], values.shape[2]]),
      );
      await options.onStage?.('image_noise', await channelsFirst(noise));
      const noisy = held.hold(
        () =>
          tf.add(
            tf.tensor(values.data, values.shape),
            tf.mul(noise, noiseAugStrength),
          ) as tf.Tensor4D,
      );
      held.free(noise);
      options.onBlock?.('preprocess');
      const evaluation = {
        model: this.vae,
        inputs: [noisy],
        settings: ['encode'],
        steps: ([x]: tf.Tensor[]) => this.vae.encodeSteps(x),
      };
      const posterior = new DiagonalGaussianDistribution(
        await this.evaluate(evaluation, 'vae', options),
      );
      const latents = posterior.mode();
      posterior.dispose();
      held.adopt(latents);
      await options.onStage?.('image_latents', await channelsFirst(latents));
      return held.give(latents);
    } finally {
      held.freeAll();
    }
  }

  /** `[videos, 3]`: frames per second less one, motion bucket, noise strength. */
  private addedTimeIds({
    batch,
    numVideosPerPrompt,
    fps,
    motionBucketId,
    noiseAugStrength,
  }: CallSettings): tf.Tensor {
    const ids = [fps - 1, motionBucketId, noiseAugStrength];
    const { additionTimeEmbedDim, projectionClassEmbeddingsInputDim: expected } = this.unet.config;
    const given = additionTimeEmbedDim * ids.length;
    if (given !== expected) {
      throw new Error(
        `Model expects an added time embedding vector of length ${expected}, but a vector of ${given} was created. ` +
          'The model has an incorrect config. Please check `unet.config.additionTimeEmbedDim`.',
      );
    }
    return tf.tile(tf.tensor2d([ids]), [batch * numVideosPerPrompt, 1]);
  }

  /**
   * Repeats what belongs to pictures for each of their videos (A, A, B, B), and picture latents for
   * each frame.
   */
  private condition(
    embeddings: tf.Tensor,
    pictures: tf.Tensor,
    { batch, numVideosPerPrompt, numFrames }: CallSettings,
  ): Condition {
    const repeat = (x: tf.Tensor, times: number) => {
      const [, ...rest] = x.shape;
      return tf.reshape(tf.tile(tf.reshape(x, [batch, 1, -1]), [1, times, 1]), [
        batch * times,
        ...rest,
      ]);
    };
    return [
      repeat(embeddings, numVideosPerPrompt),
      repeat(pictures, numVideosPerPrompt * numFrames),
    ];
  }

  /**
   * Start noise `[videos*F, h, w, C]` at the schedule's first noise level. Takes the second draw,
   * unless latents are given.
   */
  private startLatents(settings: CallSettings): tf.Tensor {
    const [videos, frames, h, w, c] = latentShape(settings, this.facts);
    const noise = settings.latents ?? randnTensor(settings.generator, [videos, frames, c, h, w]);
    return tf.mul(tf.reshape(noise, [videos * frames, h, w, c]), this.scheduler.initNoiseSigma);
  }

  /**
   * The UNet's velocity for latents `[videos*F, h, w, C]` under a condition; of both halves of
   * guidance, one after the other in the first axis.
   */
  private async predict(
    latents: tf.Tensor,
    timestep: number,
    [context, picture]: Condition,
    ids: tf.Tensor,
    { numFrames }: CallSettings,
    options: GenerateOptions & CallWatch,
  ): Promise<tf.Tensor> {
    const held = new Held();
    try {
      const halves = picture.shape[0] / latents.shape[0];
      const input = held.hold(() =>
        tf.concat(
          [tf.tile(this.scheduler.scaleModelInput(latents, timestep), [halves, 1, 1, 1]), picture],
          -1,
        ),
      );
      const [time, allIds] = held.hold(() => [tf.tensor1d([timestep]), tf.tile(ids, [halves, 1])]);
      const steps = (inputs: tf.Tensor[]) => this.unet.steps(inputs, { numFrames });
      const settings = [numFrames, this.unet.forwardChunking];
      return await this.evaluate(
        { model: this.unet, inputs: [input, time, context, allIds], settings, steps },
        'unet',
        options,
      );
    } finally {
      held.freeAll();
    }
  }

  /** A view `[videos, F, h, w, C]` of latents, held. */
  private asVideos(latents: tf.Tensor, { numFrames }: CallSettings, held: Held): tf.Tensor {
    return held.hold(() => tf.reshape(latents, [-1, numFrames, ...latents.shape.slice(1)]));
  }

  /** Lets the caller see the tensors of a step and replace the latents. */
  private async afterStep(
    step: number,
    timestep: number,
    tensors: CallbackTensors,
    settings: CallSettings,
    options: GenerateOptions,
    held: Held,
  ): Promise<tf.Tensor> {
    const { latents } = tensors;
    if (!options.callbackOnStepEnd) return latents;
    const shown = { ...tensors, latents: this.asVideos(latents, settings, held) };
    const chosen = Object.fromEntries(
      settings.callbackOnStepEndTensorInputs.map((name) => [name, shown[name as 'latents']]),
    );
    const replaced = (await options.callbackOnStepEnd(this, step, timestep, chosen))?.latents;
    const kept = shown.latents;
    if (!replaced || replaced === kept) {
      held.free(kept);
      return latents;
    }
    held.adopt(replaced);
    if (!tf.util.arraysEqual(replaced.shape, kept.shape)) {
      throw new Error(
        `\`callbackOnStepEnd\` has to return latents of shape [${kept.shape}] but returned [${replaced.shape}].`,
      );
    }
    if (!(await allFinite(replaced)))
      throw new Error(
        `\`callbackOnStepEnd\` returned latents that are not finite after step ${step + 1}.`,
      );
    const next = held.hold(() => tf.reshape(replaced, latents.shape));
    held.free(latents, kept, replaced);
    return next;
  }

  /** The result in the form asked for. */
  private async output(
    latents: tf.Tensor,
    settings: CallSettings,
    options: GenerateOptions,
    held: Held,
  ): Promise<Frames[OutputType]> {
    if (settings.outputType === 'latent') return held.give(this.asVideos(latents, settings, held));
    const { numFrames, decodeChunkSize } = settings;
    const frames = await this.decodeLatents(
      latents as tf.Tensor4D,
      numFrames,
      decodeChunkSize,
      options,
    );
    await options.onStage?.('frames', { data: frames.data.slice(), shape: frames.shape });
    if (settings.outputType === 'array') return frames;
    if (settings.outputType === 'tensor') return tf.tensor(frames.data, frames.shape);
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
    options: CallWatch = {},
  ): Promise<FloatArray> {
    return this.using('vae', options, (watch) =>
      this.decode(latents, numFrames, decodeChunkSize, watch),
    );
  }

  private async decode(
    latents: tf.Tensor4D,
    numFrames: number,
    decodeChunkSize: number,
    options: CallWatch,
  ): Promise<FloatArray> {
    const { scalingFactor, outChannels } = this.vae.config;
    const [total, h, w] = latents.shape;
    const size = [h * this.vae.scaleFactor, w * this.vae.scaleFactor, outChannels];
    const data = new Float32Array(total * tf.util.sizeFromShape(size));
    const perFrame = data.length / total;
    options.onProgress?.({ stage: 'decoding', step: 0, steps: total });
    for (let video = 0; video < total; video += numFrames) {
      for (let start = video; start < video + numFrames; start += decodeChunkSize) {
        const count = Math.min(decodeChunkSize, video + numFrames - start);
        const held = new Held();
        try {
          const chunk = held.hold(
            () => tf.mul(tf.slice(latents, start, count), 1 / scalingFactor) as tf.Tensor4D,
          );
          const steps = ([z]: tf.Tensor[]) => this.vae.decodeSteps(z, count);
          const evaluation = {
            model: this.vae,
            inputs: [chunk],
            settings: ['decode', count],
            steps,
          };
          const decoded = held.adopt(await this.evaluate(evaluation, 'vae', options));
          const pixels = held.hold(() => tf.clipByValue(tf.add(tf.div(decoded, 2), 0.5), 0, 1));
          data.set(await pixels.data(), start * perFrame);
          options.onBlock?.('postprocess');
        } finally {
          held.freeAll();
        }
        options.onProgress?.({ stage: 'decoding', step: start + count, steps: total });
      }
    }
    return { data, shape: [total / numFrames, numFrames, ...size] };
  }

  /** Frees all weights. The pipeline cannot be used afterwards. */
  dispose(): void {
    this.components.replays?.dispose();
    for (const model of [this.vae, this.imageEncoder, this.unet]) model.dispose();
  }
}

/** Both halves of guidance, held: as one batch, unconditional first, or each by itself. */
function halvesOf(
  conditional: Condition,
  { guidanceTogether }: CallSettings,
  held: Held,
): Condition[] {
  if (!guidanceTogether)
    return [
      held.hold(() => conditional.map((part) => tf.zerosLike(part)) as Condition),
      conditional,
    ];
  return [
    held.hold(() => conditional.map((part) => tf.concat([tf.zerosLike(part), part])) as Condition),
  ];
}

/** Pictures, or the values of a tensor of pictures, on the host. */
async function hostPictures(image: ImageInput): Promise<RgbImage[] | FloatArray> {
  if (image instanceof tf.Tensor)
    return { data: (await image.data()) as Float32Array, shape: image.shape };
  return Array.isArray(image) ? image : [image];
}

async function allFinite(x: tf.Tensor): Promise<boolean> {
  const finite = tf.tidy(() => tf.all(tf.isFinite(x)));
  const [yes] = await finite.data();
  finite.dispose();
  return yes === 1;
}
