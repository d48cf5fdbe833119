/**
 * Values made only from names, by the rule in svd-goldens.json, so that fixtures need not hold
 * weights.
 */
import * as tf from '@tensorflow/tfjs';
import { checkpointShape, memorySource } from '../../src/checkpoints/index.ts';
import { loadWeights } from '../../src/checkpoints/weights/load.ts';
import type { AnyBlock } from '../../src/layers/block.ts';
import type { RgbImage } from '../../src/media/image.ts';

/** The first `count` values in [-1, 1) of the 32-bit congruential generator with the given seed. */
export function lcg(seed: number, count: number): Float64Array {
  let state = seed;
  return Float64Array.from({ length: count }, () => {
    state = (Math.imul(1664525, state) + 1013904223) >>> 0;
    return (state / 2 ** 32) * 2 - 1;
  });
}

/** `count` values in [-1, 1) from a name: the generator seeded with the name's FNV-1a hash. */
export function uniforms(name: string, count: number): Float64Array {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(name))
    hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return lcg(hash, count);
}

/** The weight of the given checkpoint key and shape. */
export function weightValues(key: string, shape: number[]): Float32Array {
  const count = tf.util.sizeFromShape(shape);
  const u = uniforms(key, count);
  if (/(mix_factor|class_embedding|position_embedding\.weight)$/.test(key))
    return Float32Array.from(u);
  if (shape.length === 1)
    return Float32Array.from(u, (v) => (key.endsWith('weight') ? 1 + 0.1 * v : 0.1 * v));
  const scale = Math.sqrt((3 * shape[0]) / count);
  return Float32Array.from(u, (v) => v * scale);
}

/** Sets every weight of `block` to the values of its key. */
export async function fillByName(block: AnyBlock): Promise<void> {
  if (!block.built) block.build();
  const tensors = block.parameters().map((parameter) => {
    const shape = checkpointShape(parameter);
    return [parameter.key, { shape, data: weightValues(parameter.key, shape) }] as const;
  });
  await loadWeights(block, memorySource(Object.fromEntries(tensors)));
}

/** An input of the given name, spread over [low, high), in diffusers' axis order. */
export function inputValues(
  name: string,
  shape: number[],
  low = -1,
  high = 1,
): { data: Float32Array; shape: number[] } {
  return {
    data: Float32Array.from(
      uniforms(name, tf.util.sizeFromShape(shape)),
      (u) => low + ((u + 1) / 2) * (high - low),
    ),
    shape,
  };
}

/** A picture of noise. */
export function inputPicture(name: string, width: number, height: number): RgbImage {
  return {
    width,
    height,
    data: Uint8Array.from(uniforms(name, width * height * 3), (u) =>
      Math.floor(((u + 1) / 2) * 256),
    ),
  };
}
