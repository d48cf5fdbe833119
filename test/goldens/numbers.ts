/**
 * Single numbers of svd-goldens.json: the rule of names, activations, embeddings, resizing,
 * guidance.
 */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import {
  gaussianKernel,
  resizeNearest as resizeNearestOnHost,
  resizeWithAntialiasing,
} from '../../src/media/resample.ts';
import { gelu, quickGelu, resizeNearest, silu, timestepEmbedding } from '../../src/ops/index.ts';
import { guidanceScales } from '../../src/pipelines/sampling/guidance.ts';
import { toOurs, toTheirs } from '../harness/fixtures.ts';
import { expectNumbers, expectSummary, golden, goldenNames } from '../harness/goldens.ts';
import { inputValues, lcg, uniforms } from '../harness/nameHash.ts';

/**
 * Lists are stored with six or seven digits after the point. Ops in float32 add an error in the
 * last of them.
 */
const DIGITS = 2e-6;

/** The values of a tensor, which is freed. */
async function valuesOf(make: () => tf.Tensor): Promise<number[]> {
  const tensor = tf.tidy(make);
  const values = Array.from(await tensor.data());
  tensor.dispose();
  return values;
}

describe('single numbers of svd-goldens.json', () => {
  it('the rule by which weights and inputs follow from names', () => {
    expectNumbers(lcg(1, 4), 1e-9, 'lcg_check', 'seed_1_first4');
    expectNumbers(
      uniforms('conv_in.weight', 4),
      1e-9,
      'lcg_check',
      'values("conv_in.weight")_first4_u',
    );
    // The first value is one step of the congruence after the hash.
    const [first] = lcg(golden('lcg_check', 'fnv1a("conv_in.weight")'), 1);
    expect(uniforms('conv_in.weight', 1)[0]).to.equal(first);
  });

  const points = [-3, -1, -0.5, 0, 0.5, 1, 3];
  for (const [name, activation] of Object.entries({
    gelu_erf: gelu,
    quick_gelu: quickGelu,
    silu,
  })) {
    it(name, async () => {
      expectNumbers(await valuesOf(() => activation(tf.tensor1d(points))), DIGITS, 'misc', name);
    });
  }

  for (const name of goldenNames('misc', 'timestep_embedding')) {
    it(`timestep embedding ${name}`, async () => {
      const [t, dim] = name.match(/-?[\d.]+/g)!.map(Number) as [number, number];
      const values = await valuesOf(() => timestepEmbedding(tf.tensor1d([t]), dim));
      const stored = golden<(number | string)[]>('misc', 'timestep_embedding', name);
      const gap = stored.indexOf('...');
      expect(values).to.have.lengthOf(dim);
      const ours = [...values.slice(0, gap), '...', ...values.slice(gap + 1 - stored.length)];
      expect(ours).to.have.lengthOf(stored.length);
      for (const [i, value] of stored.entries()) {
        if (typeof value === 'number') expect(ours[i], `value ${i}`).to.be.closeTo(value, DIGITS);
      }
    });
  }

  for (const name of goldenNames('misc').filter((name) => name.startsWith('nearest_'))) {
    it(`${name}, in the networks and in pictures`, async () => {
      const [from, to] = name.match(/\d+/g)!.map(Number) as [number, number];
      const column = await valuesOf(() =>
        resizeNearest(tf.reshape(tf.range(0, from), [1, from, 1, 1]) as tf.Tensor4D, [to, 1]),
      );
      const row = resizeNearestOnHost(
        { data: Float32Array.from({ length: from }, (_, i) => i), shape: [1, 1, from, 1] },
        [1, to],
      );
      expectNumbers(column, 0, 'misc', name);
      expectNumbers(row.data, 0, 'misc', name);
    });
  }

  it('guidance_linspace_25', () => {
    expectNumbers(guidanceScales(1, 3, 25), DIGITS, 'misc', 'guidance_linspace_25');
  });

  for (const name of goldenNames('misc').filter((name) => name.startsWith('('))) {
    it(`resize with antialiasing ${name}`, async () => {
      const [h, w, height, width] = name.match(/\d+/g)!.map(Number) as [
        number,
        number,
        number,
        number,
      ];
      const kernels = [gaussianKernel(h, height), gaussianKernel(w, width)];
      expectNumbers(
        kernels.map((kernel) => kernel.length),
        0,
        'misc',
        name,
        'ks',
      );
      expectNumbers(kernels[0]!, DIGITS, 'misc', name, 'kernel_y');
      expectNumbers(kernels[1]!, DIGITS, 'misc', name, 'kernel_x');
      // A Gaussian falls by exp(-1 / (2 sigma^2)) from its middle to the next tap; at the smallest
      // sigma that is 0 in float32.
      for (const [i, sigma] of golden<number[]>('misc', name, 'sigma').entries()) {
        const middle = (kernels[i]!.length - 1) / 2;
        expect(kernels[i]![middle + 1]! / kernels[i]![middle]!).to.be.closeTo(
          Math.exp(-1 / (2 * sigma ** 2)),
          DIGITS,
        );
      }
      const pixels = toOurs({ ...inputValues('resize.x', [1, 3, h, w]), axes: 'NCHW' });
      const input = { data: (await pixels.data()) as Float32Array, shape: pixels.shape };
      pixels.dispose();
      const { data, shape } = resizeWithAntialiasing(input, [height, width]);
      expectSummary(await toTheirs(tf.tensor(data, shape), 'NCHW'), 'misc', name, 'out');
    });
  }

  it('bicubic_ac_4to7', () => {
    // Enlarging leaves the Gaussian out, so what remains is bicubic interpolation with aligned
    // corners, here of one peak along a row.
    const peak = Array.from({ length: 4 }, () => [0, 1, 4, 2]).flat();
    const { data } = resizeWithAntialiasing(
      { data: Float32Array.from(peak), shape: [1, 4, 4, 1] },
      [4, 7],
    );
    expectNumbers(data.slice(0, 7), DIGITS, 'misc', 'bicubic_ac_4to7');
  });
});
