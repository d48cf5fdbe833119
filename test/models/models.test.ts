/**
 * The three networks against diffusers, with the tolerance of 3e-5 relative L2; on a mismatch, the
 * first block that differs is named.
 */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import {
  AutoencoderKLTemporalDecoder,
  CLIPVisionModelWithProjection,
  UNetSpatioTemporalConditionModel,
} from '../../src/models/index.ts';
import {
  expectClose,
  type Fixture,
  fixtureNames,
  measured,
  readFixture,
  relativeL2,
  toOurs,
} from '../harness/fixtures.ts';
import { fillByName } from '../harness/nameHash.ts';
import { recordOutputs } from '../harness/stages.ts';

const TOLERANCE = 3e-5;

type Model =
  | AutoencoderKLTemporalDecoder
  | CLIPVisionModelWithProjection
  | UNetSpatioTemporalConditionModel;

function build({ class: name, config }: Fixture): Model {
  if (name === 'AutoencoderKLTemporalDecoder') return new AutoencoderKLTemporalDecoder(config);
  if (name === 'CLIPVisionModelWithProjection') return new CLIPVisionModelWithProjection(config);
  return new UNetSpatioTemporalConditionModel(config);
}

/** Runs what the fixture ran, giving the tensors of its outputs by name. */
async function run(model: Model, fixture: Fixture): Promise<Record<string, tf.Tensor>> {
  const { kwargs, metadata } = fixture;
  const input = (name: string) => toOurs(fixture.tensors[`input.${name}`]);
  if (model instanceof AutoencoderKLTemporalDecoder) {
    if (metadata.method === 'encode') {
      const x = input('x') as tf.Tensor4D;
      const { mean, logvar } = await model.encode(x);
      x.dispose();
      return { 'output.mean': mean, 'output.logvar': logvar };
    }
    if (metadata.method === 'decode') {
      const z = input('z') as tf.Tensor4D;
      const output = await model.decode(z, kwargs.numFrames as number);
      z.dispose();
      return { output };
    }
    return { output: tf.tidy(() => model.apply(input('sample'), kwargs) as tf.Tensor) };
  }
  if (model instanceof CLIPVisionModelWithProjection) {
    const [embeds, hidden] = tf.tidy(() => model.apply(input('pixel_values')) as tf.Tensor[]);
    return { 'output.image_embeds': embeds, 'output.last_hidden_state': hidden };
  }
  const chunking = kwargs.forwardChunking as { chunk_size: number | null; dim: number } | undefined;
  if (chunking) model.enableForwardChunking(chunking.chunk_size ?? undefined, chunking.dim);
  return {
    output: tf.tidy(() => {
      const inputs = [
        input('sample'),
        tf.fill([fixture.tensors['input.sample'].shape[0]], kwargs.timestep as number),
        input('encoder_hidden_states'),
        input('added_time_ids'),
      ];
      return model.apply(inputs, {
        numFrames: fixture.tensors['input.sample'].shape[1],
      }) as tf.Tensor;
    }),
  };
}

describe('models against diffusers', () => {
  for (const file of fixtureNames('models')) {
    it(file.replace('.safetensors', ''), async () => {
      const fixture = await readFixture('models', file);
      const model = build(fixture);
      await fillByName(model);
      if (fixture.keys.length)
        expect(
          model
            .parameters()
            .map((p) => p.key)
            .sort(),
        ).to.deep.equal([...fixture.keys].sort());
      const before = tf.memory().numTensors;
      const stages = recordOutputs(model);
      const outputs = await run(model, fixture);
      const broken: string[] = [];
      for (const [name, reference] of Object.entries(fixture.tensors)) {
        if (!name.startsWith('stage.')) continue;
        const ours = stages.get(name.slice('stage.'.length));
        if (!ours) continue;
        const expected = toOurs(reference);
        const distance = relativeL2(await ours.data(), await expected.data());
        expected.dispose();
        if (!(distance <= TOLERANCE)) broken.push(`${name} ${distance.toExponential(1)}`);
      }
      expect(broken, 'stages that differ').to.deep.equal([]);
      tf.dispose([...stages.values()]);
      expect(tf.memory().numTensors - before, 'tensors left by the call').to.equal(
        Object.keys(outputs).length,
      );
      for (const [name, output] of Object.entries(outputs)) {
        await expectClose(
          output,
          fixture.tensors[name],
          TOLERANCE,
          `${fixture.name} ${name}`,
          'models',
        );
      }
      model.dispose();
      expect(tf.memory().numTensors - before, 'tensors left by the model').to.equal(
        -model.parameters().length,
      );
    });
  }

  after(() => console.log(`      largest distance: ${measured.get('models')?.toExponential(1)}`));
});
