/**
 * What the networks say to wrong configurations and inputs; where diffusers has a message, it is
 * that one with our names.
 */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { withoutWeights } from '../../src/layers/index.ts';
import {
  AutoencoderKLTemporalDecoder,
  type CLIPVisionConfig,
  CLIPVisionModelWithProjection,
  type UNetSpatioTemporalConditionConfig,
  UNetSpatioTemporalConditionModel,
} from '../../src/models/index.ts';

const crossDown = 'CrossAttnDownBlockSpatioTemporal';
const crossUp = 'CrossAttnUpBlockSpatioTemporal';

const tiny: UNetSpatioTemporalConditionConfig = {
  ...{ blockOutChannels: [32, 32], layersPerBlock: 1, crossAttentionDim: 8, numAttentionHeads: 2 },
  ...{ additionTimeEmbedDim: 8, projectionClassEmbeddingsInputDim: 24 },
  ...{
    downBlockTypes: [crossDown, 'DownBlockSpatioTemporal'],
    upBlockTypes: ['UpBlockSpatioTemporal', crossUp],
  },
};

const downTypes = `["${crossDown}","DownBlockSpatioTemporal"]`;

describe('wrong configurations of the UNet', () => {
  const cases: Record<string, [UNetSpatioTemporalConditionConfig, string]> = {
    'as many up as down blocks': [
      { upBlockTypes: [crossUp] },
      'Must provide the same number of `downBlockTypes` as `upBlockTypes`. ' +
        `\`downBlockTypes\`: ${downTypes}. \`upBlockTypes\`: ["${crossUp}"].`,
    ],
    'a width for each block': [
      { blockOutChannels: [32] },
      'Must provide the same number of `blockOutChannels` as `downBlockTypes`. ' +
        `\`blockOutChannels\`: [32]. \`downBlockTypes\`: ${downTypes}.`,
    ],
    'heads for each block': [
      { numAttentionHeads: [2, 2, 2] },
      'Must provide the same number of `numAttentionHeads` as `downBlockTypes`. ' +
        `\`numAttentionHeads\`: [2,2,2]. \`downBlockTypes\`: ${downTypes}.`,
    ],
    'context widths for each block': [
      { crossAttentionDim: [8] },
      'Must provide the same number of `crossAttentionDim` as `downBlockTypes`. ' +
        `\`crossAttentionDim\`: [8]. \`downBlockTypes\`: ${downTypes}.`,
    ],
    'layers for each block': [
      { layersPerBlock: [1, 1, 1] },
      'Must provide the same number of `layersPerBlock` as `downBlockTypes`. ' +
        `\`layersPerBlock\`: [1,1,1]. \`downBlockTypes\`: ${downTypes}.`,
    ],
    'transformer layers for each block': [
      { transformerLayersPerBlock: [1] },
      'Must provide the same number of `transformerLayersPerBlock` as `downBlockTypes`. ' +
        `\`transformerLayersPerBlock\`: [1]. \`downBlockTypes\`: ${downTypes}.`,
    ],
    'known down blocks': [
      { downBlockTypes: [crossDown, 'DownBlock2D'] },
      '`downBlockTypes[1]` has to be one of CrossAttnDownBlockSpatioTemporal, ' +
        'DownBlockSpatioTemporal but is DownBlock2D.',
    ],
    'known up blocks': [
      { upBlockTypes: ['UpBlock3D', crossUp] },
      '`upBlockTypes[0]` has to be one of CrossAttnUpBlockSpatioTemporal, ' +
        'UpBlockSpatioTemporal but is UpBlock3D.',
    ],
    'widths that the groups divide': [
      { blockOutChannels: [32, 48] },
      '`blockOutChannels[1]` has to be divisible by 32, the groups of its normalisation, but is 48.',
    ],
    'widths that the heads divide': [
      { numAttentionHeads: [2, 5] },
      '`blockOutChannels[1]` has to be divisible by `numAttentionHeads` but they are 32 and 5.',
    ],
    'layers for each transformer': [
      { transformerLayersPerBlock: [[1], 1] },
      '`transformerLayersPerBlock[0]` has to have 2 entries, one for each transformer, but is [1].',
    ],
    'sinusoids that make up the width of the ids': [
      { projectionClassEmbeddingsInputDim: 20 },
      '`projectionClassEmbeddingsInputDim` has to be divisible by `additionTimeEmbedDim` but ' +
        'they are 20 and 8.',
    ],
    numbers: [
      { blockOutChannels: [32, -32] },
      '`blockOutChannels[1]` has to be a whole number from 1 to 65536 but is -32.',
    ],
  };
  for (const [what, [config, message]] of Object.entries(cases)) {
    it(`it has to have ${what}`, () => {
      expect(() => new UNetSpatioTemporalConditionModel({ ...tiny, ...config })).to.throw(message);
    });
  }

  it('one value stands for all blocks, a list for each', () => {
    const count = (config: UNetSpatioTemporalConditionConfig) => {
      const unet = new UNetSpatioTemporalConditionModel({ ...tiny, ...config });
      withoutWeights(() => unet.build());
      const shapes = unet.parameters().map(({ key, variable }) => [key, variable.shape]);
      unet.dispose();
      return shapes;
    };
    const lists = {
      numAttentionHeads: [2, 2],
      crossAttentionDim: [8, 8],
      layersPerBlock: [1, 1],
      transformerLayersPerBlock: [1, 1],
    };
    expect(count(lists)).to.deep.equal(count({}));
    expect(count({ layersPerBlock: [2, 1] })).to.not.deep.equal(count({}));
  });
});

describe('forward chunking of the UNet', () => {
  let unet: UNetSpatioTemporalConditionModel;
  before(() => {
    unet = new UNetSpatioTemporalConditionModel(tiny);
    unet.build();
  });
  after(() => unet.dispose());

  const predict = () =>
    tf.tidy(() => {
      const inputs = [
        tf.ones([3, 4, 4, 8]),
        tf.tensor1d([1.5]),
        tf.ones([1, 1, 8]),
        tf.tensor2d([[6, 127, 0.02]]),
      ];
      return unet.apply(inputs, { numFrames: 3 }) as tf.Tensor;
    });

  it('takes whole numbers for its size', () => {
    for (const size of [-1, 1.5, 'x', {}])
      expect(() => unet.enableForwardChunking(size as number)).to.throw(
        '`chunkSize` has to be a whole number of at least 0',
      );
  });

  it('takes dimensions 0 and 1 alone', () => {
    for (const dim of [2, -1]) {
      expect(() => unet.enableForwardChunking(1, dim)).to.throw(
        `Make sure to set \`dim\` to either 0 or 1, not ${dim}`,
      );
    }
  });

  it('needs a size that divides the frames, until it is switched off', () => {
    const before = tf.memory().numTensors;
    unet.enableForwardChunking(2);
    expect(predict).to.throw(
      '`hidden_states` dimension to be chunked: 3 has to be divisible by chunk size: 2.',
    );
    expect(tf.memory().numTensors - before, 'tensors left').to.equal(0);
    unet.disableForwardChunking();
    predict().dispose();
  });

  it('takes size 0 for 1, as diffusers does', () => {
    unet.enableForwardChunking(0, 1);
    predict().dispose();
    unet.disableForwardChunking();
  });
});

describe('wrong configurations of the other networks', () => {
  it('the VAE: unknown blocks, and widths that are not one per block', () => {
    expect(() => new AutoencoderKLTemporalDecoder({ downBlockTypes: ['DownBlock2D'] })).to.throw(
      '`downBlockTypes[0]` has to be one of DownEncoderBlock2D but is DownBlock2D.',
    );
    expect(() => new AutoencoderKLTemporalDecoder({ blockOutChannels: [32, 64] })).to.throw(
      'Must provide the same number of `blockOutChannels` as `downBlockTypes`. ' +
        '`blockOutChannels`: [32,64]. `downBlockTypes`: ["DownEncoderBlock2D"].',
    );
  });

  it('the image encoder: an unknown activation, and heads that do not divide the width', () => {
    expect(
      () =>
        new CLIPVisionModelWithProjection({ hiddenAct: 'relu' as CLIPVisionConfig['hiddenAct'] }),
    ).to.throw('`hiddenAct` has to be one of silu, gelu, quick_gelu but is relu.');
    expect(
      () => new CLIPVisionModelWithProjection({ hiddenSize: 10, numAttentionHeads: 4 }),
    ).to.throw('`hiddenSize` has to be divisible by `numAttentionHeads` but they are 10 and 4.');
    expect(() => new CLIPVisionModelWithProjection({ imageSize: 28 })).to.throw(
      '`patchSize` may not be more than `imageSize` but they are 32 and 28.',
    );
  });
});

describe('wrong inputs of the networks', () => {
  it('the VAE: what cannot be encoded or decoded, before and after it is built', async () => {
    const vae = new AutoencoderKLTemporalDecoder({ blockOutChannels: [32] });
    const call = async (method: 'encode' | 'decode', ...args: unknown[]) => {
      const work = vae[method].bind(vae) as unknown as (...args: unknown[]) => Promise<tf.Tensor>;
      return work(...args).then(
        (result) => result.dispose(),
        (error: Error) => error.message,
      );
    };
    const pictures = tf.zeros([2, 4, 4, 3]);
    const latents = tf.zeros([2, 4, 4, 4]);
    expect(await call('encode', pictures)).to.equal(undefined);
    for (const [args, sentence] of [
      [
        ['encode'],
        'Encoder "encoder" takes tensors, which `tf.tensor` makes, but is given undefined',
      ],
      [
        ['encode', latents],
        'Encoder "encoder": x has to be of shape [N, H, W, 3] but is [2,4,4,4].',
      ],
      [
        ['encode', tf.reshape(pictures, [1, 2, 4, 4, 3])],
        'of shape [N, H, W, 3] but is [1,2,4,4,3]',
      ],
      [['encode', pictures, { sginal: 1 }], 'Did you mean `signal`?'],
      [['encode', pictures, { signal: 5 }], '`signal` has to be an AbortSignal but is 5.'],
      [['decode', pictures, 2], 'x has to be of shape [B*F, H, W, 4] but is [2,4,4,3].'],
      [['decode', latents], 'divides the batch of 2 frames but is undefined.'],
      [['decode', latents, 3], 'divides the batch of 2 frames but is 3.'],
      [['decode', latents, { numFrames: 2 }], 'but is an Object.'],
    ] as const)
      expect(await call(...(args as unknown as Parameters<typeof call>))).to.contain(sentence);
    tf.dispose([pictures, latents]);
    vae.dispose();
  });

  it('the VAE: pictures that are too small', () => {
    const vae = new AutoencoderKLTemporalDecoder({
      ...{ name: 'mine', blockOutChannels: [32, 32, 32] },
      downBlockTypes: Array(3).fill('DownEncoderBlock2D'),
    });
    expect(() => tf.tidy(() => vae.apply(tf.zeros([1, 3, 8, 3])))).to.throw(
      'AutoencoderKLTemporalDecoder "mine": an input of [1,3,8,3] is too small for the arguments',
    );
    // What is cut off is not declared.
    expect(vae.computeOutputShape([1, 9, 8, 3])).to.deep.equal([1, 8, 8, 3]);
    vae.dispose();
  });

  it('the UNet: a number of frames that does not divide the batch', () => {
    const unet = new UNetSpatioTemporalConditionModel(tiny);
    withoutWeights(() => unet.build());
    expect(() => tf.tidy(() => unet.call([tf.zeros([3, 4, 4, 8])], { numFrames: 2 }))).to.throw(
      '`numFrames` has to be a whole number that divides the batch of 3 frames but is 2.',
    );
    unet.dispose();
  });

  it('the VAE: a number of frames that does not divide the batch, leaving nothing', async () => {
    const vae = new AutoencoderKLTemporalDecoder({ blockOutChannels: [32] });
    vae.build();
    const z = tf.zeros([3, 4, 4, 4]) as tf.Tensor4D;
    const before = tf.memory().numTensors;
    const message = await vae.decode(z, 2).then(
      () => 'decoded',
      (error: Error) => error.message,
    );
    expect(message).to.equal(
      '`numFrames` has to be a whole number that divides the batch of 3 frames but is 2.',
    );
    expect(tf.memory().numTensors - before, 'tensors left').to.equal(0);
    z.dispose();
    vae.dispose();
  });

  it('the image encoder: pictures of another size', () => {
    const encoder = new CLIPVisionModelWithProjection({
      ...{
        hiddenSize: 8,
        intermediateSize: 8,
        numHiddenLayers: 1,
        numAttentionHeads: 2,
        imageSize: 224,
        patchSize: 32,
      },
    });
    withoutWeights(() => encoder.build());
    expect(() => tf.tidy(() => void encoder.call(tf.zeros([1, 220, 224, 3])))).to.throw(
      "Input image size (220*224) doesn't match model (224*224).",
    );
    encoder.dispose();
  });
});
