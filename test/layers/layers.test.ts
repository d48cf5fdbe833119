/** Every layer against diffusers, with the tolerance of 1e-5 relative L2, and without leaks. */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { expectClose, fixtureNames, measured, readFixture } from '../harness/fixtures.ts';
import { inputsOf, kwargsOf, layerOf } from '../harness/layerFixtures.ts';
import { fillByName } from '../harness/nameHash.ts';

const TOLERANCE = 1e-5;

describe('layers against diffusers', () => {
  for (const file of fixtureNames('layers')) {
    it(file.replace('.safetensors', ''), async () => {
      const fixture = await readFixture('layers', file);
      const layer = layerOf(fixture);
      await fillByName(layer);
      expect(
        layer
          .parameters()
          .map((p) => p.key)
          .sort(),
        'keys',
      ).to.deep.equal([...fixture.keys].sort());
      const inputs = inputsOf(fixture);
      const before = tf.memory().numTensors;
      const outputs = [layer.apply(inputs, kwargsOf(fixture)) as tf.Tensor | tf.Tensor[]].flat();
      expect(tf.memory().numTensors - before, 'tensors left by the call').to.equal(outputs.length);
      // diffusers' down blocks give their last output twice.
      const expected = Object.keys(fixture.tensors)
        .filter((name) => name.startsWith('output') && name !== 'output.hidden_states')
        .sort();
      expect(outputs.length, 'number of outputs').to.equal(expected.length);
      for (const [i, name] of expected.entries()) {
        await expectClose(
          outputs[i],
          fixture.tensors[name],
          TOLERANCE,
          `${fixture.name} ${name}`,
          'layers',
        );
      }
      tf.dispose(inputs);
      layer.dispose();
    });
  }

  after(() => console.log(`      largest distance: ${measured.get('layers')?.toExponential(1)}`));
});
