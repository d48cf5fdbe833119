/** Layers of whole numbers and truth values, which all of them compute as float32. */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { AlphaBlender, type AnyBlock, LayerNorm } from '../../src/layers/index.ts';
import { BATCH, layerSamples } from '../harness/layerSamples.ts';
import { fillByName } from '../harness/nameHash.ts';

const valuesOf = (outputs: tf.Tensor | tf.Tensor[]) =>
  Promise.all([outputs].flat().map((output) => output.data()));

describe('layers of whole numbers', () => {
  for (const [name, sample] of Object.entries(layerSamples)) {
    it(`${name}: computes as of the same float32`, async () => {
      const layer = sample.make('mine');
      await fillByName(layer);
      const before = tf.memory().numTensors;
      const whole = sample.shapes.map((shape, i) =>
        tf.tidy(() => tf.cast(tf.randomUniform([BATCH, ...shape], -9, 9, 'float32', i), 'int32')),
      );
      const floats = whole.map((tensor) => tf.cast(tensor, 'float32'));
      for (const run of [
        (inputs: tf.Tensor[]) => layer.apply(inputs, sample.kwargs),
        (inputs: tf.Tensor[]) => layer.call(inputs, sample.kwargs),
      ]) {
        const [of, expected] = [run(whole), run(floats)];
        expect(await valuesOf(of)).to.deep.equal(await valuesOf(expected));
        for (const output of [of].flat()) expect(output.dtype).to.equal('float32');
        tf.dispose([[of].flat(), [expected].flat()]);
      }
      // One of several inputs.
      for (const i of whole.keys()) {
        const mixed = floats.map((tensor, j) => (i === j ? whole[i]! : tensor));
        const outputs = layer.apply(mixed, sample.kwargs);
        for (const output of [outputs].flat()) expect(output.dtype).to.equal('float32');
        tf.dispose([outputs].flat());
      }
      tf.dispose([whole, floats]);
      expect(tf.memory().numTensors - before, 'tensors left').to.equal(0);
      layer.dispose();
    });
  }

  it('take truth values, and refuse what are no numbers', () => {
    tf.tidy(() => {
      const blend: AnyBlock = new AlphaBlender({ alpha: 0.5 });
      const branches = [tf.ones([4, 2]), tf.zeros([4, 2])];
      const [asNumbers, asTruth] = (['float32', 'bool'] as const).map((dtype) =>
        blend.apply([...branches, tf.cast(tf.tensor2d([[1, 0, 0, 1]]), dtype)]),
      );
      expect([asTruth!].flat()[0]!.dataSync()).to.deep.equal([asNumbers!].flat()[0]!.dataSync());
      const norm = new LayerNorm({ numChannels: 1 });
      expect(() => norm.apply(tf.tensor2d([['a']]))).to.throw(
        'Layers take tensors of float32, int32 or bool, not of string.',
      );
      for (const layer of [blend, norm]) layer.dispose();
    });
  });
});
