/** Reads reference tensors that diffusers computed, and compares ours with them. */
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { camelCaseConfig, openSafetensors } from '../../src/checkpoints/index.ts';
import { compareTensors } from '../../src/verification/compareTensors.ts';

const root = fileURLToPath(new URL('../fixtures/', import.meta.url));

/** A tensor in diffusers' axis order, with the axes' letters: `NCHW`, `BCFHW`, ... */
export interface ReferenceTensor {
  data: Float32Array;
  shape: number[];
  axes: string;
}

export interface Fixture {
  name: string;
  class: string;
  config: Record<string, unknown>;
  kwargs: Record<string, unknown>;
  keys: string[];
  metadata: Record<string, string>;
  tensors: Record<string, ReferenceTensor>;
}

/**
 * The names of the fixtures in a folder of test/fixtures, or of those that start with `prefix`.
 */
export function fixtureNames(folder: string, prefix = ''): string[] {
  return readdirSync(root + folder)
    .filter((file) => file.endsWith('.safetensors') && file.startsWith(prefix))
    .sort();
}

export async function readFixture(folder: string, file: string): Promise<Fixture> {
  const source = await openSafetensors(`${root}${folder}/${file}`);
  const { metadata } = source;
  const layouts = JSON.parse(metadata.layouts ?? '{}');
  const tensors: Fixture['tensors'] = {};
  for (const name of source.names()) {
    tensors[name] = {
      data: await source.read(name),
      shape: source.info(name).shape,
      axes: layouts[name],
    };
  }
  await source.close();
  return {
    name: file.replace('.safetensors', ''),
    class: metadata.class,
    config: camelCaseConfig(JSON.parse(metadata.config ?? '{}')),
    kwargs: camelCaseConfig(JSON.parse(metadata.kwargs ?? '{}')),
    keys: JSON.parse(metadata.keys ?? '[]'),
    metadata,
    tensors,
  };
}

/** The permutations from diffusers' axes to ours, channels last and frames in front of them. */
const permutations: Record<string, number[]> = {
  NCHW: [0, 2, 3, 1],
  BFC: [0, 1, 2],
  BCFHW: [0, 2, 3, 4, 1],
  BFCHW: [0, 1, 3, 4, 2],
};

/** A reference tensor in our layout: videos become `[B*F, H, W, C]`. */
export function toOurs({ data, shape, axes }: ReferenceTensor): tf.Tensor {
  return tf.tidy(() => {
    const tensor = tf.tensor(data, shape);
    const permutation = permutations[axes];
    if (!permutation) return tensor;
    const last = tf.transpose(tensor, permutation);
    return axes.includes('F') ? tf.reshape(last, [-1, ...last.shape.slice(2)]) : last;
  });
}

/** `|actual - expected| / |expected|` over all values. */
export function relativeL2(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  const shape = [expected.length];
  return compareTensors({ data: actual, shape }, { data: expected, shape }).relativeL2;
}

/** The largest distances in `expectClose`, by name of the suite, for the tolerance table. */
export const measured = new Map<string, number>();

/**
 * Expects our tensor to equal a reference tensor within `tolerance` (relative L2), and frees it.
 */
export async function expectClose(
  actual: tf.Tensor,
  expected: ReferenceTensor,
  tolerance: number,
  what: string,
  suite = '',
): Promise<void> {
  const reference = toOurs(expected);
  expect(actual.shape, `shape of ${what}`).to.deep.equal(reference.shape);
  const [a, b] = await Promise.all([actual.data(), reference.data()]);
  tf.dispose([actual, reference]);
  const distance = relativeL2(a, b);
  measured.set(suite, Math.max(measured.get(suite) ?? 0, distance));
  expect(distance, `relative L2 of ${what}`).to.be.at.most(tolerance);
}

/**
 * The values of our tensor in diffusers' order of `axes`; `numFrames` splits `[B*F, H, W, C]` into
 * videos. Frees the tensor.
 */
export async function toTheirs(
  tensor: tf.Tensor,
  axes: string,
  numFrames = 1,
): Promise<{ data: Float32Array; shape: number[] }> {
  const moved = tf.tidy(() => {
    const video =
      axes.includes('F') && tensor.rank === 4
        ? tf.reshape(tensor, [-1, numFrames, ...tensor.shape.slice(1)])
        : tensor;
    const permutation = permutations[axes];
    return permutation ? tf.transpose(video, inverse(permutation)) : tf.clone(video);
  });
  const result = { data: Float32Array.from(await moved.data()), shape: moved.shape };
  tf.dispose([moved, tensor]);
  return result;
}

const inverse = (permutation: number[]) => permutation.map((_, axis) => permutation.indexOf(axis));
