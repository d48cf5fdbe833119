/** LoRA on the UNet against peft, with the tolerance of models. */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { fuseLora, setLoraScales, unloadLora } from '../../src/adapters/index.ts';
import { putLora } from '../../src/adapters/load.ts';
import { loraLayers } from '../../src/adapters/targets.ts';
import { runSteps } from '../../src/layers/index.ts';
import { UNetSpatioTemporalConditionModel } from '../../src/models/index.ts';
import { expectClose, fixtureNames, readFixture, toOurs } from '../harness/fixtures.ts';
import { loraSource, peftTensors } from '../harness/lora.ts';
import { fillByName, inputValues } from '../harness/nameHash.ts';

const TOLERANCE = 3e-5;

const NUM_FRAMES = 2;
const inputs = () => [
  toOurs({ ...inputValues('sample', [1, NUM_FRAMES, 8, 6, 8]), axes: 'BFCHW' }),
  tf.tensor1d([1.25]),
  toOurs({ ...inputValues('encoder_hidden_states', [1, 1, 32]), axes: '' }),
  tf.tensor2d([[6, 127, 0.02]]),
];

describe('LoRA on the UNet', () => {
  for (const file of fixtureNames('lora')) {
    it(`does what peft does: ${file.replace('.safetensors', '')}`, async () => {
      const fixture = await readFixture('lora', file);
      const unet = new UNetSpatioTemporalConditionModel(fixture.config);
      await fillByName(unet);
      const before = tf.memory().numTensors;
      const given = inputs();
      const run = () => runSteps(unet.steps(given, { numFrames: NUM_FRAMES }), {});
      const plain = await run();
      const adapters = JSON.parse(fixture.metadata.adapters!);
      for (const [name, { scale, ...config }] of Object.entries<Record<string, unknown>>(
        adapters,
      )) {
        const tensors = peftTensors(fixture, name);
        const source = loraSource(tensors);
        await putLora({ source, label: name, config }, loraLayers('test', unet), {
          ...{ name, scale: scale as number },
        });
      }
      const compare = async (what: string) =>
        expectClose(await run(), fixture.tensors.output!, TOLERANCE, what, 'LoRA');
      await compare('as they are');
      fuseLora(unet);
      await compare('fused');
      setLoraScales(unet, { a: 0 });
      setLoraScales(unet, { a: adapters.a.scale });
      await compare('with scales set again');
      fuseLora(unet);
      unloadLora(unet);
      const after = await run();
      expect(await after.data(), 'without them').to.deep.equal(await plain.data());
      tf.dispose([given, plain, after]);
      expect(tf.memory().numTensors, 'tensors').to.equal(before);
      unet.dispose();
    });
  }
});
