/** This package's implementation of each kind of work. */
import * as tf from '@tensorflow/tfjs';
import {
  camelCaseConfig,
  loadWeights,
  openModelFolder,
  type WeightDtype,
  type WeightedComponent,
} from '../../src/checkpoints/index.ts';
import {
  type AnyBlock,
  Attention,
  type ComputeDtype,
  FeedForward,
  limitScores,
  runSteps,
  SpatioTemporalResBlock,
  withoutWeights,
} from '../../src/layers/index.ts';
import { loadImage } from '../../src/media/index.ts';
import { CLIP_MEAN, CLIP_STD, clipPixelValues } from '../../src/media/preprocess.ts';
import type { MemorySettings } from '../../src/memory/stages.ts';
import {
  AutoencoderKLTemporalDecoder,
  CLIPVisionModelWithProjection,
  UNetSpatioTemporalConditionModel,
} from '../../src/models/index.ts';
import { StableVideoDiffusionPipeline } from '../../src/pipelines/node.ts';
import { guidanceScales, guide } from '../../src/pipelines/sampling/guidance.ts';
import { Generator } from '../../src/random/index.ts';
import { randnTensor } from '../../src/random/randnTensor.ts';
import type { Work } from '../cases.ts';

/** Runs one round. The caller disposes of the result. */
export type Workload = () => Promise<tf.Tensor>;
type OfKind<K> = Extract<Work, { kind: K }>;
type Layer = Omit<OfKind<'attention'>, 'kind'>;

/**
 * The noise that PyTorch draws from the same seed. `shape` has diffusers' axis order; pictures
 * become channels-last.
 */
function noise<T extends tf.Tensor>(seed: number, shape: number[]): T {
  const generator = new Generator(seed);
  return (
    shape.length < 4 ? tf.tensor(generator.randn(shape), shape) : randnTensor(generator, shape)
  ) as T;
}

/** Builds a block and loads its weights, which by default are kept as the pipeline keeps them. */
async function loaded<T extends AnyBlock>(
  checkpoint: string,
  component: WeightedComponent,
  prefix: string,
  create: (config: Record<string, unknown>) => T,
  weightDtype: WeightDtype = 'auto',
): Promise<T> {
  const folder = await openModelFolder(checkpoint);
  try {
    const block = create(camelCaseConfig(folder.config(component)));
    withoutWeights(() => block.build());
    await loadWeights(block, await folder.weights(component), { prefix, weightDtype });
    return block;
  } finally {
    await folder.close();
  }
}

/** A block that computes in a type. */
function computingIn<T extends AnyBlock>(block: T, dtype: ComputeDtype = 'float32'): T {
  block.computeDtype = dtype;
  return block;
}

/** What the UNet gets besides latents. */
interface Condition {
  picture: tf.Tensor;
  context: tf.Tensor;
}

/** Time and added ids. */
type Times = [time: tf.Tensor, ids: tf.Tensor];

/** One evaluation without guidance. */
async function velocityOf(
  unet: UNetSpatioTemporalConditionModel,
  latents: tf.Tensor,
  { picture, context }: Condition,
  [time, ids]: Times,
): Promise<tf.Tensor> {
  const sample = tf.concat([latents, picture], -1);
  const numFrames = latents.shape[0];
  const velocity = await runSteps(unet.steps([sample, time, context, ids], { numFrames }));
  sample.dispose();
  return velocity;
}

/** One guided evaluation whose halves are computed in turn, as the pipeline does to save memory. */
async function guidedInTurn(
  unet: UNetSpatioTemporalConditionModel,
  latents: tf.Tensor,
  condition: Condition,
  times: Times,
): Promise<tf.Tensor> {
  const none = {
    picture: tf.zerosLike(condition.picture),
    context: tf.zerosLike(condition.context),
  };
  const halves = [
    await velocityOf(unet, latents, none, times),
    await velocityOf(unet, latents, condition, times),
  ];
  const both = tf.concat(halves);
  const velocity = guide(both, guidanceScales(1, 3, latents.shape[0]));
  tf.dispose([...Object.values(none), ...halves, both]);
  return velocity;
}

/** One guided evaluation, as at each step of the pipeline: both halves as one batch. */
async function guidedVelocity(
  unet: UNetSpatioTemporalConditionModel,
  latents: tf.Tensor,
  { picture, context }: Condition,
  [time, ids]: Times,
): Promise<tf.Tensor> {
  const numFrames = latents.shape[0];
  const both = (unconditional: tf.Tensor, conditional: tf.Tensor) =>
    tf.concat([unconditional, conditional]);
  const inputs = tf.tidy(() => [
    tf.concat([both(latents, latents), both(tf.zerosLike(picture), picture)], -1),
    time.clone(),
    both(tf.zerosLike(context), context),
    both(ids, ids),
  ]);
  const velocities = await runSteps(unet.steps(inputs, { numFrames }));
  const velocity = guide(velocities, guidanceScales(1, 3, numFrames));
  tf.dispose([inputs, velocities]);
  return velocity;
}

async function layerWorkload<T extends AnyBlock>(
  { checkpoint, prefix }: Layer,
  create: () => T,
  run: (layer: T) => tf.Tensor,
): Promise<Workload> {
  const layer = await loaded(checkpoint, 'unet', prefix, create);
  return async () => run(layer);
}

const tokens = ({ frames, side, channels }: Layer) => noise(1, [frames, side * side, channels]);
const selfAttention = ({ channels, heads }: Layer) =>
  new Attention({ queryDim: channels, heads, dimHead: channels / heads });

/** Sets a model up as the pipeline does by its plan. */
function applySettings(model: AnyBlock, settings?: MemorySettings): void {
  if (!settings) return;
  limitScores(model, settings.attentionBytes);
  const { forwardChunking } = settings;
  if (forwardChunking && model instanceof UNetSpatioTemporalConditionModel)
    model.enableForwardChunking(forwardChunking.size, forwardChunking.dim);
}

/** Decodes some frames at a time. */
async function decodeInChunks(
  vae: AutoencoderKLTemporalDecoder,
  latents: tf.Tensor4D,
  chunk: number,
): Promise<tf.Tensor> {
  const parts: tf.Tensor[] = [];
  const frames = latents.shape[0];
  for (let first = 0; first < frames; first += chunk) {
    const count = Math.min(chunk, frames - first);
    const part = tf.slice(latents, [first, 0, 0, 0], [count, -1, -1, -1]);
    parts.push(await vae.decode(part as tf.Tensor4D, count));
    part.dispose();
  }
  if (parts.length === 1) return parts[0];
  const all = tf.concat(parts);
  tf.dispose(parts);
  return all;
}

/** Builds each kind of work. */
export const workloads: { [K in Work['kind']]: (work: OfKind<K>) => Promise<Workload> } = {
  async unet({ checkpoint, frames, height, width, dtype, guided = true, settings }) {
    const unet = await loaded(checkpoint, 'unet', '', (config) =>
      computingIn(new UNetSpatioTemporalConditionModel(config), dtype),
    );
    applySettings(unet, settings);
    const shape = [frames, 4, height / 8, width / 8];
    const conditional = {
      picture: noise(2, shape),
      context: noise(3, [1, 1, unet.config.crossAttentionDim as number]),
    };
    const latents = noise(1, shape);
    const times: Times = [tf.tensor1d([1.25]), tf.tensor2d([[6, 127, 0.02]])];
    const together = settings?.guidanceTogether ?? true;
    const evaluate = !guided ? velocityOf : together ? guidedVelocity : guidedInTurn;
    return () => evaluate(unet, latents, conditional, times);
  },
  async 'vae-decode'({ checkpoint, frames, height, width, dtype, settings }) {
    const vae = await loaded(checkpoint, 'vae', '', (config) =>
      computingIn(new AutoencoderKLTemporalDecoder(config), dtype),
    );
    const latents = noise<tf.Tensor4D>(1, [frames, 4, height / 8, width / 8]);
    applySettings(vae, settings);
    const chunk = settings?.decodeChunkSize ?? frames;
    return () => decodeInChunks(vae, latents, chunk);
  },
  async 'vae-encode'({ checkpoint, height, width }) {
    const vae = await loaded(
      checkpoint,
      'vae',
      '',
      (config) => new AutoencoderKLTemporalDecoder(config),
    );
    const pixels = noise<tf.Tensor4D>(1, [1, 3, height, width]);
    return async () => {
      const posterior = await vae.encode(pixels);
      const mode = posterior.mode();
      posterior.dispose();
      return mode;
    };
  },
  async clip({ checkpoint, height, width }) {
    const encoder = await loaded(
      checkpoint,
      'image_encoder',
      '',
      (config) => new CLIPVisionModelWithProjection(config),
    );
    const pixels = noise(1, [1, 3, height, width]);
    return () => embedding(encoder, pixels);
  },
  async load({ checkpoint, picture }) {
    const { imageEncoder } = await StableVideoDiffusionPipeline.fromPretrained(checkpoint, {
      backend: 'tensorflow',
    });
    const values = clipPixelValues(
      [await loadImage(picture)],
      imageEncoder.config.imageSize,
      CLIP_MEAN,
      CLIP_STD,
    );
    const embeds = await embedding(imageEncoder, tf.tensor(values.data, values.shape));
    return async () => embeds;
  },
  async 'load-float32'({ checkpoint }) {
    return async () => {
      const unet = await loaded(
        checkpoint,
        'unet',
        '',
        (config) => new UNetSpatioTemporalConditionModel(config),
        'float32',
      );
      const vectors = unet.parameters().filter(({ variable }) => variable.shape.length === 1);
      vectors.sort((a, b) => (a.key < b.key ? -1 : 1));
      return tf.concat(vectors.map(({ variable }) => variable.read()));
    };
  },
  async pipeline({
    checkpoint,
    picture,
    frames: numFrames,
    height,
    width,
    steps: numInferenceSteps,
  }) {
    const pipe = await StableVideoDiffusionPipeline.fromPretrained(checkpoint, {
      backend: 'tensorflow',
    });
    const image = await loadImage(picture);
    const options = { numFrames, height, width, numInferenceSteps, outputType: 'tensor' } as const;
    return async () =>
      (await pipe.generate(image, { ...options, generator: new Generator(0) })).frames;
  },
  attention(work) {
    const x = tokens(work);
    return layerWorkload(
      work,
      () => selfAttention(work),
      (layer) => layer.call([x]),
    );
  },
  'temporal-attention'(work) {
    const x = tokens(work);
    return layerWorkload(
      work,
      () => selfAttention(work),
      (layer) => layer.overFrames(x, work.frames),
    );
  },
  resblock(work) {
    const { frames: numFrames, channels: inChannels, side } = work;
    const inputs = [noise(1, [numFrames, inChannels, side, side]), noise(2, [numFrames, 1280])];
    return layerWorkload(
      work,
      () => new SpatioTemporalResBlock({ inChannels, tembChannels: 1280 }),
      (layer) => layer.call(inputs, { numFrames }),
    );
  },
  'feed-forward'(work) {
    const x = tokens(work);
    return layerWorkload(
      work,
      () => new FeedForward({ dim: work.channels }),
      (layer) => layer.call([x]),
    );
  },
};

async function embedding(
  encoder: CLIPVisionModelWithProjection,
  pixels: tf.Tensor,
): Promise<tf.Tensor> {
  const [embeds, hidden] = await runSteps(encoder.steps([pixels]));
  hidden.dispose();
  return embeds;
}
