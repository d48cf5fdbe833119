/** The sampling calls of the fixtures of pipelines. */
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import { camelCaseConfig } from '../../src/checkpoints/index.ts';
import { loadImage } from '../../src/media/pictures/loadImage.ts';
import type { FloatArray, GenerateOptions, ImageInput } from '../../src/pipelines/types.ts';
import { Generator } from '../../src/random/generator.ts';
import { type Fixture, toOurs } from './fixtures.ts';

interface Arguments {
  images?: string[];
  image?: number[];
  seeds: number[];
  latents?: number[];
  callback_scale?: number;
  output_type?: string;
  [name: string]: unknown;
}

/** The options of the fixture's call, under our names. */
export function optionsOf({
  tensors,
  ...fixture
}: Fixture): GenerateOptions & { outputType: 'array' | 'latent'; returnDict?: true } {
  const args = JSON.parse(fixture.metadata.args) as Arguments;
  const { images: _, image: __, seeds, latents, callback_scale, output_type, ...rest } = args;
  const generators = seeds.map((seed) => new Generator(seed));
  return {
    ...camelCaseConfig(rest),
    generator: generators.length === 1 ? generators[0] : generators,
    latents: latents && videos(tensors['input.latents']),
    outputType: output_type === 'latent' ? 'latent' : 'array',
    callbackOnStepEnd: callback_scale
      ? async (_pipe, _step, _t, { latents }) => ({ latents: tf.mul(latents, callback_scale) })
      : undefined,
  };
}

/** `[B, F, C, h, w]` as `[B, F, h, w, C]`. */
const videos = ({ data, shape }: FloatArray) =>
  tf.tidy(() => tf.transpose(tf.tensor(data, shape), [0, 1, 3, 4, 2]));

/** The picture or pictures of the fixture's call. */
export async function imageOf({ metadata, tensors }: Fixture): Promise<ImageInput> {
  const { images } = JSON.parse(metadata.args) as Arguments;
  if (!images) return toOurs({ ...tensors['input.image'], axes: 'NCHW' });
  const pictures = await Promise.all(
    images.map((name) =>
      loadImage(fileURLToPath(new URL(`../fixtures/images/${name}`, import.meta.url))),
    ),
  );
  return pictures.length === 1 ? pictures[0] : pictures;
}
