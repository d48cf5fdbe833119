/** Our layers and inputs for the fixtures of single layers. */
import type * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import type { Checks } from '../../src/layers/checks.ts';
import type { AnyBlock } from '../../src/layers/index.ts';
import * as layers from '../../src/layers/index.ts';
import * as models from '../../src/models/index.ts';
import { type Fixture, toOurs } from './fixtures.ts';

type BlockClass = (new (args: Record<string, unknown>) => AnyBlock) & { checks: Checks };

/** Our layers for the classes whose names or arguments differ in PyTorch. */
const builders: Record<string, (config: Record<string, unknown>) => AnyBlock> = {
  Conv2d: ({ kernelSize, ...rest }) =>
    make('Conv2d', { ...rest, kernelSize: [kernelSize].flat()[0] }),
  Conv3d: ({ inChannels, outChannels, kernelSize }) =>
    make('TemporalConv', { inChannels, outChannels, kernelSize: [kernelSize].flat()[0] }),
  GroupNorm: (config) => make('GroupNormalization', config),
  LayerNorm: ({ normalizedShape, eps }) =>
    make('LayerNorm', { numChannels: [normalizedShape].flat()[0], eps }),
};

/** diffusers' arguments that Stable Video Diffusion never varies, and that not all layers have. */
const fixed = [
  ...['attentionHeadDim', 'doubleZ', 'downBlockTypes', 'downsamplePadding', 'outputScaleFactor'],
  ...['resnetEps', 'timeMixInnerDim', 'useConv'],
];

function make(name: string, config: Record<string, unknown>): AnyBlock {
  const Class = ({ ...layers, ...models } as unknown as Record<string, BlockClass>)[name];
  expect(Class, `class ${name}`).to.be.a('function');
  const own = Object.entries(config).filter(
    ([key]) => key in Class!.checks || !fixed.includes(key),
  );
  return new Class!(Object.fromEntries(own));
}

/** The layer of a fixture, not yet built. */
export function layerOf(fixture: Fixture): AnyBlock {
  return (builders[fixture.class] ?? ((config) => make(fixture.class, config)))(fixture.config);
}

/** The order in which our layers take their inputs, by diffusers' names. */
const order = [
  ['input', 'input_tensor', 'sample', 'x', 'x_spatial', 'hidden_states', 'timesteps'],
  ['x_temporal', 'temb'],
  ['encoder_hidden_states', 'image_only_indicator'],
];

/** A fixture's inputs in the order that the layer takes. */
export function inputsOf(fixture: Fixture): tf.Tensor[] {
  const names = Object.keys(fixture.tensors).filter((name) => name.startsWith('input.'));
  const rank = (name: string) => {
    const short = name.slice('input.'.length);
    const place = order.findIndex((group) => group.includes(short));
    return place < 0 ? order.length : place;
  };
  return (
    names
      .sort((a, b) => rank(a) - rank(b) || a.localeCompare(b))
      // The blocks of the UNet and the VAE always treat their frames as a video. An indicator of
      // zeros says the same.
      .filter((name) => name !== 'input.image_only_indicator' || takesIndicator(fixture))
      // diffusers' transformers without attention to a context ask for one all the same.
      .filter((name) => name !== 'input.encoder_hidden_states' || takesContext(fixture))
      .map((name) => toOurs(fixture.tensors[name]!))
  );
}

const takesContext = ({ class: name, config }: Fixture) =>
  name !== 'TransformerSpatioTemporalModel' || config.crossAttentionDim !== undefined;

const takesIndicator = ({ class: name }: Fixture) =>
  ['AlphaBlender', 'SpatioTemporalResBlock', 'TransformerSpatioTemporalModel'].includes(name);

/**
 * A fixture's call arguments. PyTorch sees the number of frames in a 5-D shape; our layers take it
 * as an argument.
 */
export function kwargsOf({ kwargs, tensors }: Fixture): Record<string, unknown> {
  const video = Object.values(tensors).find(({ axes }) => axes === 'BCFHW');
  return video ? { numFrames: video.shape[2], ...kwargs } : kwargs;
}
