/** Decodes latents to frames, some frames at a time. */
import * as tf from '@tensorflow/tfjs-core';
import { TensorScope } from '../../layers/index.ts';
import type { AutoencoderKLTemporalDecoder } from '../../models/index.ts';
import { checkOptionValues, kinds } from '../../text/options.ts';
import type { FloatArray } from '../types.ts';
import { checkFinite } from './finite.ts';
import type { ModelRunner, RunOptions } from './modelRunner.ts';

/** How latents are divided. */
export interface DecodeSizes {
  /** Frames of each video. */
  numFrames: number;
  /** Frames decoded together. No chunk has frames of two videos. */
  decodeChunkSize: number;
}

/** @throws Error if latents `[videos*F, h, w, C]` are not such a tensor, or sizes do not fit. */
export function checkLatents(
  latents: tf.Tensor4D,
  sizes: DecodeSizes,
  { config }: AutoencoderKLTemporalDecoder,
): void {
  const { count } = kinds;
  checkOptionValues('decodeLatents', sizes, { numFrames: count, decodeChunkSize: count });
  for (const [name, size] of Object.entries(sizes))
    if (size === undefined || size === null)
      throw new Error(`\`decodeLatents\` needs \`${name}\`, a whole number of at least 1.`);
  const { numFrames } = sizes;
  const shape: number[] = latents instanceof tf.Tensor ? latents.shape : [];
  if (shape.length === 4 && shape[0]! % numFrames === 0 && shape[3] === config.latentChannels)
    return;
  throw new Error(
    `\`latents\` have to be a tensor [videos*${numFrames}, h, w, ${config.latentChannels}] but ` +
      `are ${latents instanceof tf.Tensor ? `[${shape}]` : 'none'}.`,
  );
}

/** Decodes latents `[videos*F, h, w, C]` to frames `[videos, F, H, W, 3]` in [0, 1]. */
export async function decode(
  vae: AutoencoderKLTemporalDecoder,
  runner: ModelRunner,
  latents: tf.Tensor4D,
  { numFrames, decodeChunkSize }: DecodeSizes,
  options: RunOptions,
): Promise<FloatArray> {
  const [total, h, w] = latents.shape;
  const { scaleFactor, config } = vae;
  const size = [h * scaleFactor, w * scaleFactor, config.outChannels];
  const data = new Float32Array(total * tf.util.sizeFromShape(size));
  const perFrame = data.length / total;
  options.onProgress?.({ stage: 'decoding', step: 0, steps: total });
  for (let video = 0; video < total; video += numFrames) {
    for (let start = video; start < video + numFrames; start += decodeChunkSize) {
      const count = Math.min(decodeChunkSize, video + numFrames - start);
      const values = await decodeChunk(vae, runner, latents, start, count, options);
      data.set(values, start * perFrame);
      options.onProgress?.({ stage: 'decoding', step: start + count, steps: total });
    }
  }
  return { data, shape: [total / numFrames, numFrames, ...size] };
}

async function decodeChunk(
  vae: AutoencoderKLTemporalDecoder,
  runner: ModelRunner,
  latents: tf.Tensor4D,
  start: number,
  count: number,
  options: RunOptions,
): Promise<Float32Array> {
  using scope = new TensorScope();
  const scaled = scope.tidy(() =>
    tf.mul(tf.slice(latents, start, count), 1 / vae.config.scalingFactor),
  );
  const decoded = scope.keep(
    await runner.evaluate(
      'vae',
      {
        inputs: [scaled],
        replayKey: ['decode', count],
        steps: ([z]) => vae.decodeSteps(z, count),
      },
      options,
    ),
  );
  // Before values are cut off at 0 and 1, which hides infinite ones.
  await checkFinite(decoded, 'The frames', vae);
  const pixels = scope.tidy(() => tf.clipByValue(tf.add(tf.div(decoded, 2), 0.5), 0, 1));
  const values = (await pixels.data()) as Float32Array;
  options.onBlock?.('postprocess');
  return values;
}
