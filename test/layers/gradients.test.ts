/**
 * Gradients of every layer, with respect to inputs and weights: against torch's autograd, and
 * against finite differences.
 */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { valuesForCheckpoint } from '../../src/checkpoints/index.ts';
import type { AnyBlock } from '../../src/layers/index.ts';
import { fixtureNames, readFixture, relativeL2, toOurs } from '../harness/fixtures.ts';
import { inputsOf, kwargsOf, layerOf } from '../harness/layerFixtures.ts';
import { fillByName, inputValues, uniforms } from '../harness/nameHash.ts';
import { testBackend } from '../setup.ts';

/**
 * As for whole models: a backward pass rounds as often again as the forward pass that it follows.
 */
const TOLERANCE = 3e-5;

/** Of a difference quotient in float32, whose own error is of the order of a thousandth. */
const QUOTIENT_TOLERANCE = 1e-2;

/**
 * What torch computed for one case: the gradient of the outputs' sum, each value times a number
 * that follows from its name.
 */
interface Golden {
  name: string;
  /** Gradients of the inputs, in our layout and order. */
  inputs: tf.Tensor[];
  /** Norm and product with a direction, per weight that takes part. */
  weights: Map<string, [norm: number, product: number]>;
  /** What each output is multiplied by. */
  factors: tf.Tensor[];
}

async function goldenOf(file: string): Promise<Golden> {
  const fixture = await readFixture('gradients', file);
  const rows = fixture.tensors.weights?.data ?? [];
  const outputs = JSON.parse(fixture.metadata.outputs) as Record<
    string,
    { shape: number[]; axes: string }
  >;
  return {
    name: fixture.name,
    inputs: inputsOf(fixture),
    weights: new Map(fixture.keys.map((key, i) => [key, [rows[2 * i]!, rows[2 * i + 1]!]])),
    factors: Object.entries(outputs)
      .sort(([a], [b]) => a.localeCompare(b))
      .map(([output, { shape, axes }]) =>
        toOurs({ ...inputValues(`${fixture.name}.${output}.gradient`, shape), axes }),
      ),
  };
}

/** The layer of a case with its inputs, and the number that is differentiated. */
async function caseOf(file: string) {
  const fixture = await readFixture('layers', file);
  const layer = layerOf(fixture);
  await fillByName(layer);
  const golden = await goldenOf(file);
  const inputs = inputsOf(fixture);
  const loss = (given: tf.Tensor[]) =>
    tf.tidy(() => {
      const outputs = [layer.apply(given, kwargsOf(fixture)) as tf.Tensor | tf.Tensor[]].flat();
      return tf.addN(
        outputs.map((output, i) => tf.sum(tf.mul(output, golden.factors[i]!))),
      ) as tf.Scalar;
    });
  const free = () => {
    tf.dispose([inputs, golden.inputs, golden.factors]);
    layer.dispose();
  };
  return {
    layer,
    golden,
    inputs: inputs.slice(0, golden.inputs.length),
    rest: inputs.slice(golden.inputs.length),
    loss,
    free,
  };
}

/** Gradients of `loss` with respect to inputs and trainable weights, in the order of both. */
function gradientsOf(layer: AnyBlock, inputs: tf.Tensor[], loss: () => tf.Scalar): tf.Tensor[] {
  const weights = layer.trainableWeights.map((weight) => weight.read());
  return tf.tidy(
    () => tf.engine().gradients(loss, [...inputs, ...weights], undefined, true).grads,
  ) as tf.Tensor[];
}

/**
 * `[norm, product]` of a weight's gradient with the direction of its name, as torch's axes order
 * it.
 */
async function summary(
  gradient: tf.Tensor,
  parameter: ReturnType<AnyBlock['parameters']>[number],
  name: string,
): Promise<number[]> {
  const values = valuesForCheckpoint(
    parameter.layout,
    gradient.shape,
    Float32Array.from(await gradient.data()),
  );
  const direction = uniforms(`${name}.${parameter.key}.direction`, values.length);
  return [Math.hypot(...values), values.reduce((sum, value, i) => sum + value * direction[i]!, 0)];
}

describe('gradients of layers', () => {
  // The wasm backend has no kernel for the gradient of a convolution's filter: it is for inference.
  before(function () {
    if (!['tensorflow', 'cpu'].includes(testBackend)) this.skip();
  });

  for (const file of fixtureNames('gradients')) {
    it(file.replace('.safetensors', ''), async () => {
      const { layer, golden, inputs, rest, loss, free } = await caseOf(file);
      const before = tf.memory().numTensors;
      const gradients = gradientsOf(layer, inputs, () => loss([...inputs, ...rest]));
      expect(tf.memory().numTensors - before, 'tensors left').to.equal(
        gradients.filter(Boolean).length,
      );

      for (const [i, expected] of golden.inputs.entries()) {
        const distance = relativeL2(await gradients[i]!.data(), await expected.data());
        expect(distance, `relative L2 of the gradient of input ${i}`).to.be.at.most(TOLERANCE);
      }
      // Some weights have a gradient of 0 that floating point misses, such as a bias before a
      // normalisation: the scale is that of all together.
      const scale = Math.hypot(...[...golden.weights.values()].map(([norm]) => norm));
      const parameters = new Map(
        layer.parameters().map((parameter) => [parameter.variable, parameter]),
      );
      const seen = new Set<string>();
      for (const [i, weight] of layer.trainableWeights.entries()) {
        const parameter = parameters.get(weight)!;
        const gradient = gradients[inputs.length + i];
        const expected = golden.weights.get(parameter.key) ?? [0, 0]; // no part of the computation
        seen.add(parameter.key);
        // None stands for 0: the query of attention to one token has no part in ours, and cancels
        // out in torch's.
        const actual = gradient ? await summary(gradient, parameter, golden.name) : [0, 0];
        for (const j of [0, 1])
          expect(Math.abs(actual[j]! - expected[j]!) / scale, parameter.key).to.be.at.most(
            TOLERANCE,
          );
      }
      expect([...seen]).to.include.members([...golden.weights.keys()]);

      tf.dispose(gradients.filter(Boolean));
      free();
    });
  }

  for (const file of fixtureNames('gradients')) {
    // On tensorflow, what runs without gradients are other formulations than what is
    // differentiated.
    it(
      `${file.replace('.safetensors', '')} agrees with finite differences of what runs without ` +
        'gradients',
      async () => {
        const { layer, golden, inputs, rest, loss, free } = await caseOf(file);
        const weights = layer.trainableWeights.map((weight) => weight.read() as tf.Variable);
        const gradients = gradientsOf(layer, inputs, () => loss([...inputs, ...rest]));
        const directions = [...inputs, ...weights].map((x, i) =>
          toOurs({ ...inputValues(`${golden.name}.${i}`, x.shape), axes: '' }),
        );
        const terms = tf.tidy(() =>
          tf.concat(
            gradients.flatMap((gradient, i) =>
              gradient ? tf.reshape(tf.mul(gradient, directions[i]!), [-1]) : [],
            ),
          ),
        );
        const [slope, usual] = tf.tidy(() => [
          tf.sum(terms).dataSync()[0]!,
          tf.norm(terms).dataSync()[0]!,
        ]);
        // small against the values of each tensor, large against their rounding
        const step = 2 ** -9;
        const moved = async (sign: number) => {
          const values = weights.map((weight) => tf.clone(weight));
          for (const [i, weight] of weights.entries()) {
            const shift = tf.tidy(() =>
              tf.add(weight, tf.mul(directions[inputs.length + i]!, sign * step)),
            );
            weight.assign(shift);
            shift.dispose();
          }
          const result = tf.tidy(() =>
            loss([
              ...inputs.map((x, i) => tf.add(x, tf.mul(directions[i]!, sign * step))),
              ...rest,
            ]),
          );
          for (const [i, weight] of weights.entries()) weight.assign(values[i]!);
          const [value] = await result.data();
          tf.dispose([result, values]);
          return value!;
        };
        const quotient = ((await moved(1)) - (await moved(-1))) / (2 * step);
        // In units of what a slope in a random direction usually is, as this one may happen to be
        // near 0.
        expect(Math.abs(quotient - slope) / usual, golden.name).to.be.at.most(QUOTIENT_TOLERANCE);
        tf.dispose([gradients.filter(Boolean), directions, terms]);
        free();
      },
    );
  }

  it('are checked for every layer', async () => {
    const classes = (folder: string) =>
      Promise.all(
        fixtureNames('layers')
          .filter((file) => fixtureNames(folder).includes(file))
          .map(async (file) => layerOf(await readFixture('layers', file)).getClassName()),
      );
    expect([...new Set(await classes('gradients'))].sort()).to.deep.equal(
      [...new Set(await classes('layers'))].sort(),
    );
  });
});
