/** Fused kernels in half precision against the same in float32. */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { nativeHandleCount } from '../../../src/backends/index.ts';
import { computeIn, gelu, halfGain, linear } from '../../../src/ops/index.ts';
import { fusedHalf } from '../../../src/ops/tensorflow/fusedHalf.ts';
import { narrowed } from '../../../src/ops/tensorflow/halfTensors.ts';
import { relativeL2 } from '../../harness/fixtures.ts';
import { uniforms } from '../../harness/nameHash.ts';

const values = (name: string, shape: number[]) =>
  tf.tensor(Float32Array.from(uniforms(name, tf.util.sizeFromShape(shape))), shape);

describe('fusedHalf', () => {
  const map = (name: string, inputs: number, outputs: number) => ({
    weight: values(`${name}.weight`, [inputs, outputs]) as tf.Tensor2D,
    bias: values(`${name}.bias`, [outputs]) as tf.Tensor1D,
  });

  it('is nothing in float32', () => {
    expect(fusedHalf()).to.equal(undefined);
  });

  it('adds the bias of a map in float32', async function () {
    if (!halfGain('bfloat16')?.pays) this.skip();
    const { weight, bias } = map('map', 32, 64);
    const x = tf.zeros<tf.Rank.R2>([40, 32]);
    const y = computeIn('bfloat16', () => fusedHalf()!.linear(x, { weight, bias }));
    expect((await y.data()).slice(0, 64)).to.deep.equal(await bias.data());
    tf.dispose([weight, bias, x, y]);
  });

  for (const held of ['float32', 'bfloat16'] as const) {
    it(`computes maps and feed-forwards with weights held in ${held}, and frees all`, async function () {
      if (!halfGain('bfloat16')?.pays) this.skip();
      const x = values('x', [40, 32]) as tf.Tensor2D;
      const [value, gate, out] = [map('value', 32, 64), map('gate', 32, 64), map('out', 64, 32)];
      const exact = tf.tidy(() => [
        linear(x, value.weight, value.bias),
        linear(
          tf.mul(linear(x, value.weight, value.bias), gelu(linear(x, gate.weight, gate.bias))),
          out.weight,
          out.bias,
        ),
      ]);
      const maps = [value, gate, out].map(({ weight, bias }) => ({
        weight: (held === 'float32' ? weight.clone() : narrowed(weight, held)) as tf.Tensor2D,
        bias,
      }));
      const fused = computeIn('bfloat16', fusedHalf)!;
      const before = [tf.memory().numTensors, nativeHandleCount()];
      const results = computeIn('bfloat16', () => [
        fused.linear(x, maps[0]!),
        fused.feedForward(x, maps[0]!, maps[1]!, maps[2]!),
      ]);
      for (const [i, result] of results.entries()) {
        const distance = relativeL2(await result.data(), await exact[i]!.data());
        expect(distance).to.be.within(2 ** -12, 2 ** -6);
      }
      tf.dispose(results);
      expect([tf.memory().numTensors, nativeHandleCount()]).to.deep.equal(before);
      tf.dispose([x, exact, maps.map(({ weight }) => weight), value, gate, out].flat() as never);
    });
  }
});
