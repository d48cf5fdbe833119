/**
 * Noise tensors as `diffusers.utils.torch_utils.randn_tensor` draws them, laid out channels-last.
 */
import * as tf from '@tensorflow/tfjs-core';
import { checkArgument, type Kind, kinds } from '../text/options.ts';
import { Generator } from './generator.ts';

/**
 * Diffusers' shape `[..., C, H, W]` of a channels-last shape `[..., H, W, C]`; shapes of fewer than
 * three axes stay as they are.
 */
export function toChannelsFirst(shape: readonly number[]): number[] {
  if (shape.length < 3) return [...shape];
  const [height, width, channels] = shape.slice(-3) as [number, number, number];
  return [...shape.slice(0, -3), channels, height, width];
}

/** Moves the channel axis of the values of `[..., C, H, W]` to the end. */
function toChannelsLast(values: Float32Array, channels: number, pixels: number): Float32Array {
  const result = new Float32Array(values.length);
  const stride = channels * pixels;
  for (let start = 0; start < values.length; start += stride) {
    for (let c = 0; c < channels; c++) {
      for (let p = 0; p < pixels; p++)
        result[start + p * channels + c] = values[start + c * pixels + p]!;
    }
  }
  return result;
}

/** The generators that a call takes. */
export const generatorKind = {
  is: 'a Generator or a list of them',
  test: (value) => [value].flat().every((one) => one instanceof Generator),
  hint: (value) =>
    ['number', 'bigint'].includes(typeof value) ? `Pass \`new Generator(${value})\`.` : undefined,
} satisfies Kind;

/** The error for a list of generators that does not suit the batch, in diffusers' words. */
export const wrongGeneratorCount = ({ length }: readonly Generator[], batch: number): Error =>
  new Error(
    `You have passed a list of generators of length ${length}, but requested an effective batch ` +
      `size of ${batch}. Make sure the batch size matches the length of the generators.`,
  );

/**
 * The values of one draw for the whole batch from a single generator, or of a draw for each item
 * from its own generator.
 */
function draw(generator: Generator | readonly Generator[], shape: readonly number[]): Float32Array {
  if (generator instanceof Generator) return generator.randn(shape);
  if (generator.length === 1) return generator[0]!.randn(shape);
  const [batch, ...item] = shape as [number, ...number[]];
  if (generator.length < batch) {
    throw wrongGeneratorCount(generator, batch);
  }
  const size = item.reduce((product, length) => product * length, 1);
  const values = new Float32Array(batch * size);
  for (let i = 0; i < batch; i++) values.set(generator[i]!.randn([1, ...item]), i * size);
  return values;
}

/**
 * Standard normal noise, drawn in diffusers' axis order and returned channels-last.
 * @param generator One generator for the whole tensor, or a list, whose generator `i` draws item
 * `i` of the batch. A list of one acts as that one. Surplus generators draw nothing.
 * @param shape Diffusers' shape: `[B, F, C, h, w]`, `[B, C, H, W]`, ...
 * @returns `[B, F, h, w, C]`, `[B, H, W, C]`, ...; shapes of fewer than three axes stay.
 * @throws When the list has fewer generators than the batch has items, or holds anything else.
 */
export function randnTensor(
  generator: Generator | readonly Generator[],
  shape: readonly number[],
): tf.Tensor {
  checkArgument('randnTensor', generator, generatorKind);
  checkArgument('randnTensor', shape, kinds.list, 'second');
  const values = draw(generator, shape);
  if (shape.length < 3) return tf.tensor(values, [...shape], 'float32');
  const [channels, height, width] = shape.slice(-3) as [number, number, number];
  return tf.tensor(
    toChannelsLast(values, channels, height * width),
    [...shape.slice(0, -3), height, width, channels],
    'float32',
  );
}
