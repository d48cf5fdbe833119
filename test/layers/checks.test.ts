/** Wrong arguments are refused at construction, in the words of the layer that is given them. */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import type { AnyBlock } from '../../src/layers/index.ts';
import * as layers from '../../src/layers/index.ts';
import * as models from '../../src/models/index.ts';
import { wrongValue } from '../../src/text/kinds.ts';
import { layerSamples } from '../harness/layerSamples.ts';

type Args = Record<string, unknown>;
type BlockClass = (new (args: Args) => AnyBlock) & { checks: layers.Checks };
const classes = { ...layers, ...models } as unknown as Record<string, BlockClass>;

const block = { inChannels: 32, outChannels: 32, tembChannels: 8 };
const up = { ...block, prevOutputChannel: 32 };
const coder = { inChannels: 3, outChannels: 4, blockOutChannels: [32], layersPerBlock: 1 };

/** Classes, arguments, and what the layer says to them. */
const cases: [string, Args, string][] = [
  // Names
  [
    'FeedForward',
    { dim: 8, activationFn: 'gelu-approximate' },
    '`activationFn` has to be one of geglu, gelu but is gelu-approximate.',
  ],
  ['FeedForward', { dim: 8, activationFn: 'constructor' }, '`activationFn` has to be one of'],
  [
    'Downsample2D',
    { channels: 8, padding: 'same' },
    '`padding` has to be one of 0, 1 but is same.',
  ],
  [
    'SpatioTemporalResBlock',
    { inChannels: 32, mergeStrategy: 'mean' },
    '`mergeStrategy` has to be one of learned, fixed, learned_with_images but is mean.',
  ],
  [
    'CLIPVisionModelWithProjection',
    { hiddenAct: 'constructor' },
    '`hiddenAct` has to be one of silu, gelu, quick_gelu but is constructor.',
  ],
  // Numbers
  [
    'Linear',
    { inFeatures: 4 },
    '`outFeatures` has to be a whole number of at least 1 but is undefined.',
  ],
  [
    'Linear',
    { inFeatures: '4' },
    '`inFeatures` has to be a whole number of at least 1 but is "4".',
  ],
  [
    'Linear',
    { inFeatures: 4, outFeatures: 2, bias: 1 },
    '`bias` has to be true or false but is 1.',
  ],
  [
    'Conv2d',
    { inChannels: 3, outChannels: -1 },
    '`outChannels` has to be a whole number of at least 1',
  ],
  [
    'Conv2d',
    { inChannels: 3, outChannels: 4, padding: 'same' },
    '`padding` has to be a whole number of at least 0, or [[top, bottom], [left, right]] of such but ' +
      'is "same".',
  ],
  ['Conv2d', { inChannels: 3, outChannels: 4, padding: [1, 1] }, 'of such but is [1,1].'],
  ['Conv2d', { inChannels: 3, outChannels: 4, padding: -1 }, '`padding` has to be'],
  ['Conv2d', { inChannels: 3, outChannels: 4, stride: 0 }, '`stride` has to be'],
  ['Conv2d', { inChannels: 3, outChannels: 4, kernelSize: 1.5 }, '`kernelSize` has to be'],
  [
    'TemporalConv',
    { inChannels: 4, outChannels: 4, kernelSize: 2 },
    '`kernelSize` has to be an odd whole number of at least 1 but is 2.',
  ],
  ['TemporalConv', { inChannels: 4, outChannels: 4, numFrames: 0 }, '`numFrames` has to be'],
  [
    'LayerNorm',
    { numChannels: 4, eps: Number.NaN },
    '`eps` has to be a number of at least 0 but is NaN.',
  ],
  ['AlphaBlender', {}, '`alpha` has to be a finite number but is undefined.'],
  ['Attention', { queryDim: 8, dimHead: 1.25 }, '`dimHead` has to be a whole number of at least 1'],
  [
    'UNetMidBlockSpatioTemporal',
    { inChannels: 32, tembChannels: 8, numLayers: -1 },
    '`numLayers` has to be a whole number from 0 to 128 but is -1.',
  ],
  [
    'DownEncoderBlock2D',
    { inChannels: 32, outChannels: 32, numLayers: 0 },
    '`numLayers` has to be a whole number from 1 to 128 but is 0.',
  ],
  [
    'AutoencoderKLTemporalDecoder',
    { scalingFactor: 0 },
    '`scalingFactor` has to be a number above 0',
  ],
  [
    'Encoder',
    { ...coder, blockOutChannels: [] },
    '`blockOutChannels` has to be a list of one or more entries',
  ],
  [
    'TemporalDecoder',
    { ...coder, blockOutChannels: 32 },
    'a list of one or more entries but is 32.',
  ],
  // Numbers together
  [
    'FeedForward',
    { dim: 5, mult: 1.5 },
    '`dim` * `mult` has to be a whole number but they are 5 and 1.5.',
  ],
  [
    'Attention',
    { queryDim: 12, normNumGroups: 8 },
    '`queryDim` has to be divisible by `normNumGroups` but they are 12 and 8.',
  ],
  [
    'TransformerSpatioTemporalModel',
    { inChannels: 64 },
    '`inChannels` has to be `numAttentionHeads` * `attentionHeadDim` but is 64, not 16 * 88.',
  ],
  [
    'SpatioTemporalResBlock',
    { inChannels: 40 },
    '`inChannels` has to be divisible by 32, the groups of its normalisation, but is 40.',
  ],
  [
    'TemporalResnetBlock',
    { inChannels: 32, outChannels: 8 },
    '`outChannels` has to be divisible by 32',
  ],
  [
    'Timesteps',
    { numChannels: 2, downscaleFreqShift: 1 },
    '`downscaleFreqShift` may not be half of `numChannels` but they are 1 and 2.',
  ],
  [
    'DownBlockSpatioTemporal',
    { ...block, inChannels: 33 },
    '`inChannels` has to be divisible by 32',
  ],
  [
    'CrossAttnDownBlockSpatioTemporal',
    { ...block, numAttentionHeads: 5 },
    '`outChannels` has to be divisible by `numAttentionHeads` but they are 32 and 5.',
  ],
  [
    'CrossAttnDownBlockSpatioTemporal',
    { ...block, numLayers: 2, transformerLayersPerBlock: [1] },
    '`transformerLayersPerBlock` has to have an entry for each of `numLayers` but they are [1] and 2.',
  ],
  [
    'UpBlockSpatioTemporal',
    { ...up, prevOutputChannel: 40 },
    '`prevOutputChannel` + `inChannels` has to be divisible by 32, the groups of its ' +
      'normalisation, but they are 40 and 32.',
  ],
  [
    'CrossAttnUpBlockSpatioTemporal',
    { ...up, numLayers: 2, inChannels: 40 },
    '`outChannels` + `inChannels` has to be divisible by 32',
  ],
  ['UNetMidBlock2D', { inChannels: 40 }, '`inChannels` has to be divisible by 32'],
  [
    'MidBlockTemporalDecoder',
    { inChannels: 32, outChannels: 64, numLayers: 2 },
    '`inChannels` and `outChannels` have to be equal if `numLayers` is more than 1 but are 32 and 64.',
  ],
  [
    'Encoder',
    { ...coder, blockOutChannels: [32, 40] },
    '`blockOutChannels[1]` has to be divisible by 32',
  ],
];

describe('arguments of layers', () => {
  for (const [name, args, sentence] of cases) {
    it(`${name} refuses ${JSON.stringify(args)}`, () => {
      const before = tf.memory().numTensors;
      expect(() => new classes[name](args))
        .to.throw(`${name}: `)
        .with.property('message')
        .that.contains(sentence);
      expect(() => new classes[name]({ ...args, name: 'mine' })).to.throw(`${name} "mine": `);
      expect(tf.memory().numTensors).to.equal(before);
    });
  }

  for (const [name, sample] of Object.entries(layerSamples)) {
    it(`${name} refuses a wrong value of each argument in a sentence that begins with it`, () => {
      const right = sample.make('mine').args as Args;
      const { checks } = classes[name]!;
      expect(Object.keys(checks)).to.include.members(
        Object.keys(right).filter((argument) => argument !== 'name'),
      );
      for (const argument of Object.keys(checks))
        for (const wrong of ['no such value', -1.5, {}]) {
          // -1.5 is a number, which a few arguments may be.
          if (wrong === -1.5 && !wrongValue(argument, wrong, checks[argument]!)) continue;
          expect(
            () => new classes[name]!({ ...right, [argument]: wrong }),
            `${argument}: ${wrong}`,
          ).to.throw(`${name} "mine": \`${argument}\` has to be`);
        }
    });
  }
});

describe('inputs that nothing would be left of', () => {
  for (const [what, layer, shape, output] of [
    [
      'a kernel larger than its input',
      new layers.Conv2d({ name: 'mine', inChannels: 2, outChannels: 3 }),
      [1, 2, 5, 2],
      [1, 0, 3, 3],
    ],
    [
      'a kernel much larger',
      new layers.Conv2d({ name: 'mine', inChannels: 2, outChannels: 3, kernelSize: 9 }),
      [1, 2, 2, 2],
      [1, -6, -6, 3],
    ],
    [
      'a pixel to be halved',
      new layers.Downsample2D({ name: 'mine', channels: 2, padding: 0 }),
      [1, 1, 4, 2],
      [1, 0, 2, 2],
    ],
    [
      'too many levels',
      new models.Encoder({ ...coder, name: 'mine', blockOutChannels: [32, 32, 32] }),
      [1, 3, 8, 3],
      [1, 0, 2, 8],
    ],
  ] as const) {
    it(`are refused: ${what}`, () => {
      const message = `${layer.constructor.name} "mine": an input of [${shape}] is too small for the arguments ${JSON.stringify(layer.args)}, as the output would be of shape [${output}].`;
      expect(() => tf.tidy(() => layer.apply(tf.zeros([...shape])))).to.throw(message);
      expect(() => layer.apply(tf.input({ batchShape: [...shape] }))).to.throw('is too small');
      expect(layer.built).to.equal(false);
    });
  }

  it('are refused: sizes to make that are none', () => {
    const layer = new layers.Upsample2D({ name: 'mine', channels: 2 });
    for (const outputSize of [[0, 4], [4], [2.5, 4], [Number.NaN, 4], [-1, -1], 4])
      expect(() =>
        tf.tidy(() =>
          layer.apply(tf.zeros([1, 2, 2, 2]), { outputSize: outputSize as [number, number] }),
        ),
      ).to.throw(
        'Upsample2D "mine": `outputSize` has to be [height, width], two whole numbers of at least 1 but is ',
      );
    expect(() =>
      layerSamples
        .UpBlockSpatioTemporal!.make('up')
        .apply(
          [
            tf.input({ shape: [4, 4, 32] }),
            tf.input({ shape: [8] }),
            tf.input({ shape: [4, 4, 32] }),
          ],
          { numFrames: 2, upsampleSize: [0, 0] },
        ),
    ).to.throw('UpBlockSpatioTemporal "up": `upsampleSize` has to be [height, width]');
  });

  for (const [name, sample] of Object.entries(layerSamples)) {
    it(`${name} refuses each input without values`, () => {
      const layer = sample.make('mine');
      const names = Object.keys(layer.inputAxes!).map((input) => input.replace('?', ''));
      for (const i of sample.shapes.keys()) {
        const inputs = () => sample.shapes.map((shape, j) => tf.zeros([j === i ? 0 : 4, ...shape]));
        expect(() => tf.tidy(() => void layer.apply(inputs(), sample.kwargs))).to.throw(
          `${name} "mine": ${names[i]} has no values, as its shape is [0,${sample.shapes[i]}].`,
        );
      }
    });
  }
});
