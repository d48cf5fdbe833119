/** Every layer against diffusers, with the tolerance of 1e-5 relative L2, and without leaks. */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import type { AnyBlock } from '../../src/layers/index.ts';
import * as layers from '../../src/layers/index.ts';
import * as models from '../../src/models/index.ts';
import { expectClose, type Fixture, fixtureNames, measured, readFixture, toOurs } from '../harness/fixtures.ts';
import { fillByName } from '../harness/nameHash.ts';

const TOLERANCE = 1e-5;

type BlockClass = new (args: Record<string, unknown>) => AnyBlock;

/** Ours for the classes whose names or arguments PyTorch spells otherwise. */
const builders: Record<string, (config: Record<string, unknown>) => AnyBlock> = {
  Conv2d: ({ kernelSize, ...rest }) => make('Conv2d', { ...rest, kernelSize: [kernelSize].flat()[0] }),
  Conv3d: ({ inChannels, outChannels, kernelSize }) =>
    make('TemporalConv', { inChannels, outChannels, kernelSize: [kernelSize].flat()[0] }),
  GroupNorm: (config) => make('GroupNormalization', config),
  LayerNorm: ({ normalizedShape, eps }) => make('LayerNorm', { numChannels: [normalizedShape].flat()[0], eps }),
  MidBlockTemporalDecoder: ({ attentionHeadDim: _, ...rest }) => make('MidBlockTemporalDecoder', rest),
};

function make(name: string, config: Record<string, unknown>): AnyBlock {
  const Class = ({ ...layers, ...models } as unknown as Record<string, BlockClass>)[name];
  expect(Class, `class ${name}`).to.be.a('function');
  return new Class(config);
}

/** The order in which our layers take their inputs, by diffusers' names. */
const order = [
  ['input', 'input_tensor', 'sample', 'x', 'x_spatial', 'hidden_states', 'timesteps'],
  ['x_temporal', 'temb'],
  ['encoder_hidden_states', 'image_only_indicator'],
];

function inputsOf(fixture: Fixture): tf.Tensor[] {
  const names = Object.keys(fixture.tensors).filter((name) => name.startsWith('input.'));
  const rank = (name: string) => {
    const short = name.slice('input.'.length);
    const place = order.findIndex((group) => group.includes(short));
    return place < 0 ? order.length : place;
  };
  return (
    names
      .sort((a, b) => rank(a) - rank(b) || a.localeCompare(b))
      // The blocks of the UNet and the VAE always treat their frames as a video, which is what an indicator of zeros says.
      .filter((name) => name !== 'input.image_only_indicator' || takesIndicator(fixture))
      .map((name) => toOurs(fixture.tensors[name]))
  );
}

const takesIndicator = ({ class: name }: Fixture) =>
  ['AlphaBlender', 'SpatioTemporalResBlock', 'TransformerSpatioTemporalModel'].includes(name);

/** Where PyTorch sees the frames in a 5-D shape, our layers are told their number. */
function kwargsOf({ kwargs, tensors }: Fixture): Record<string, unknown> {
  const video = Object.values(tensors).find(({ axes }) => axes === 'BCFHW');
  return video ? { numFrames: video.shape[2], ...kwargs } : kwargs;
}

describe('layers against diffusers', () => {
  for (const file of fixtureNames('layers')) {
    it(file.replace('.safetensors', ''), async () => {
      const fixture = await readFixture('layers', file);
      const layer = (builders[fixture.class] ?? ((config) => make(fixture.class, config)))(fixture.config);
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
        await expectClose(outputs[i], fixture.tensors[name], TOLERANCE, `${fixture.name} ${name}`, 'layers');
      }
      tf.dispose(inputs);
      layer.dispose();
    });
  }

  after(() => console.log(`      largest distance: ${measured.get('layers')?.toExponential(1)}`));
});
