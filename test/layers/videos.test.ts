/** Layers of frames and pictures, on videos with an axis of their own for frames. */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import {
  AlphaBlender,
  type AnyBlock,
  Downsample2D,
  GroupNormalization,
  SpatioTemporalResBlock,
  TemporalBasicTransformerBlock,
  TemporalConv,
  TransformerSpatioTemporalModel,
} from '../../src/layers/index.ts';
import {
  AutoencoderKLTemporalDecoder,
  CLIPVisionModelWithProjection,
  UNetSpatioTemporalConditionModel,
} from '../../src/models/index.ts';
import { relativeL2 } from '../harness/fixtures.ts';
import { type LayerSample, layerSamples } from '../harness/layerSamples.ts';
import { fillByName } from '../harness/nameHash.ts';
import { throughStorage } from '../harness/storage.ts';
import { named, ROUNDING } from '../ops/random.ts';
import { testBackend } from '../setup.ts';

const [batch, frames] = [2, 3];

const valuesOf = (tensors: tf.Tensor | tf.Tensor[]) =>
  Promise.all([tensors].flat().map((tensor) => tensor.data()));
const shapesOf = (tensors: tf.Tensor | tf.Tensor[]) => [tensors].flat().map(({ shape }) => shape);
const oneOrAll = <T>(list: T[]): T | T[] => (list.length === 1 ? list[0]! : list);

/** Samples whose inputs have to be others where frames have an axis. */
const adapted: Record<string, number[][]> = {
  // Four axes are one picture, whose pixels attend to each other.
  Attention: [
    [4, 5, 8],
    [3, 6],
  ],
  // One context per pixel: there are as many pixels as frames.
  TemporalBasicTransformerBlock: [
    [frames, 8],
    [3, 6],
  ],
};

/** Layers of frames and pictures, with inputs for each of them. */
const samples: Record<string, LayerSample> = Object.fromEntries(
  Object.entries(layerSamples)
    .filter(([, { make }]) => {
      const [[item]] = Object.values(make('mine').inputAxes!);
      return item === 'B*F' || item === 'N';
    })
    .map(([name, sample]) => [name, { ...sample, shapes: adapted[name] ?? sample.shapes }]),
);

/** Inputs `[B*F, ...]` and `[B, F, ...]` of the same values. */
function bothForms({ shapes }: LayerSample): [tf.Tensor[], tf.Tensor[]] {
  const flat = shapes.map((shape, i) => named(`input.${i}`, [batch * frames, ...shape]));
  return [flat, flat.map((x) => tf.reshape(x, [batch, frames, ...x.shape.slice(1)]))];
}

describe('videos [B, F, ...]', () => {
  it('are taken by every layer but those of scalars and of tokens one by one', () => {
    const others = Object.keys(layerSamples).filter((name) => !(name in samples));
    expect(others).to.deep.equal([
      ...['FeedForward', 'LayerNorm', 'Linear', 'TimestepEmbedding', 'Timesteps'],
    ]);
  });

  for (const [name, own] of Object.entries(samples)) {
    it(`${name}: the same results as of frames in a row, eager, in a model, saved and loaded`, async () => {
      const layer = own.make('mine');
      await fillByName(layer);
      const [flat, videos] = bothForms(own);
      const before = tf.memory().numTensors;
      const expected = layer.apply(flat, { numFrames: frames });
      const eager = layer.apply(videos);
      expect(shapesOf(eager)).to.deep.equal(
        shapesOf(expected).map(([, ...rest]) => [batch, frames, ...rest]),
      );
      expect(await valuesOf(eager)).to.deep.equal(await valuesOf(expected));

      // Neither the number of videos nor, in the second model, that of frames is known.
      for (const length of [frames, null]) {
        const inputs = own.shapes.map((shape) => tf.input({ shape: [length, ...shape] }));
        const outputs = layer.apply(oneOrAll(inputs)) as tf.SymbolicTensor | tf.SymbolicTensor[];
        const model = tf.model({ inputs, outputs });
        expect(model.outputs.map(({ shape }) => shape)).to.deep.equal(
          shapesOf(expected).map(([, ...rest]) => [null, length, ...rest]),
        );
        const loaded = await throughStorage(model);
        for (const one of [model, loaded]) {
          const predicted = one.predict(oneOrAll(videos), { batchSize: 1 });
          const [ours, theirs] = [await valuesOf(predicted), await valuesOf(expected)];
          for (const [i, values] of theirs.entries())
            expect(relativeL2(ours[i]!, values)).to.be.at.most(ROUNDING);
          tf.dispose(predicted);
        }
        loaded.dispose();
      }
      tf.dispose([expected, eager].flat());
      expect(tf.memory().numTensors - before, 'tensors left').to.equal(0);
      tf.dispose([...flat, ...videos]);
      layer.dispose();
    });

    it(`${name}: clips of different lengths, whatever the constructor says`, async () => {
      const Class = own.make('mine').constructor as new (args: object) => AnyBlock;
      const layer = new Class({ ...own.make('mine').args, numFrames: 2 });
      await fillByName(layer);
      const [flat, videos] = bothForms(own);
      const outputs = tf.tidy(() => [
        layer.apply(videos),
        layer.apply(flat, { numFrames: frames }),
      ]);
      expect(await valuesOf(outputs[0]!)).to.deep.equal(await valuesOf(outputs[1]!));
      expect(() => layer.apply(videos, { numFrames: 2 })).to.throw(
        /has to be of shape \[B, F, .*\] with F = 2 but is \[2,3,/,
      );
      tf.dispose([...flat, ...videos, outputs.flat()].flat());
      layer.dispose();
    });
  }

  it('are pictures to `Attention` if they have four axes', async () => {
    const layer = layerSamples.Attention!.make('mine');
    await fillByName(layer);
    const [x, context] = [named('x', [batch, frames, 5, 8]), named('c', [batch, 3, 6])];
    const [pictures, tokens] = tf.tidy(() => [
      layer.apply([x, context]) as tf.Tensor,
      layer.apply([tf.reshape(x, [batch, frames * 5, 8]), context]) as tf.Tensor,
    ]);
    expect(await pictures!.data()).to.deep.equal(await tokens!.data());
    tf.dispose([x, context, pictures!, tokens!]);
    layer.dispose();
  });

  it('are taken by the image encoder, whose outputs have the axis, too', async () => {
    const clip = new CLIPVisionModelWithProjection({
      ...{ hiddenSize: 8, intermediateSize: 8, numAttentionHeads: 2, numHiddenLayers: 1 },
      ...{ projectionDim: 4, imageSize: 8, patchSize: 4 },
    });
    await fillByName(clip);
    const x = named('x', [batch * frames, 8, 8, 3]);
    const [flat, videos] = tf.tidy(() => [
      clip.apply(x) as tf.Tensor[],
      clip.apply(tf.reshape(x, [batch, frames, 8, 8, 3])) as tf.Tensor[],
    ]);
    expect(shapesOf(videos!)).to.deep.equal([
      [batch, frames, 4],
      [batch, frames, 5, 8],
    ]);
    expect(clip.computeOutputShape([batch, frames, 8, 8, 3])).to.deep.equal(shapesOf(videos!));
    expect(await valuesOf(videos!)).to.deep.equal(await valuesOf(flat!));
    tf.dispose([x, flat!, videos!]);
    clip.dispose();
  });

  it('say which input does not fit them', () => {
    const layer = layerSamples.SpatioTemporalResBlock!.make('mine');
    expect(() =>
      tf.tidy(() => void layer.apply([tf.zeros([2, 3, 4, 4, 32]), tf.zeros([2, 4, 8])])),
    ).to.throw(
      'SpatioTemporalResBlock "mine": temb has to be of shape [B, F, 8] with B = 2, F = 3 but is ' +
        '[2,4,8].',
    );
    layer.dispose();
    // The number of frames in a row is that of the frames of all videos.
    const pictures = layerSamples.ResnetBlock2D!.make('mine');
    expect(() =>
      tf.tidy(() => void pictures.apply([tf.zeros([2, 3, 4, 4, 32]), tf.zeros([5, 8])])),
    ).to.throw('temb has to be of shape [B*F, 8] with B = 2, F = 3 but is [5,8].');
    pictures.dispose();
  });
});

describe('other inputs beside videos', () => {
  const transformer = () =>
    new TransformerSpatioTemporalModel({
      ...{ inChannels: 32, numAttentionHeads: 4, attentionHeadDim: 8, crossAttentionDim: 6 },
    });
  const x = () => named('x', [batch * frames, 2, 2, 32]);
  const asVideos = (t: tf.Tensor) => tf.reshape(t, [batch, frames, ...t.shape.slice(1)]);
  const indicator = tf.tensor2d([
    [1, 0, 0],
    [0, 1, 1],
  ]);
  after(() => indicator.dispose());

  /** Expects two calls to give the same values in both forms. */
  async function expectForms(flat: tf.Tensor, videos: tf.Tensor): Promise<void> {
    expect(videos.shape).to.deep.equal([batch, frames, ...flat.shape.slice(1)]);
    expect(await videos.data()).to.deep.equal(await flat.data());
    tf.dispose([flat, videos]);
  }

  it('contexts: one per video, per frame in a row, or per frame in an axis', async () => {
    const layer = transformer();
    await fillByName(layer);
    const [perVideo, perFrame] = [named('c', [batch, 2, 6]), named('d', [batch * frames, 2, 6])];
    const numFrames = frames;
    for (const [flat, video] of [
      [perVideo, perVideo],
      [perFrame, perFrame],
      [perFrame, asVideos(perFrame)],
    ]) {
      await expectForms(
        tf.tidy(() => layer.apply([x(), flat!], { numFrames })),
        tf.tidy(() => layer.apply([asVideos(x()), video!])),
      );
    }
    await expectForms(
      tf.tidy(() => layer.apply([x(), perFrame, indicator], { numFrames })),
      tf.tidy(() => layer.apply([asVideos(x()), asVideos(perFrame), indicator])),
    );
    expect(() => tf.tidy(() => void layer.apply([asVideos(x()), tf.zeros([5, 2, 6])]))).to.throw(
      'The number of contexts has to be that of videos, 2, or that of frames, 6, but is 5.',
    );
    tf.dispose([perVideo, perFrame]);
    layer.dispose();
  });

  it('contexts of a temporal block: one per video, or per pixel', async () => {
    const layer = new TemporalBasicTransformerBlock({
      ...{ dim: 8, numAttentionHeads: 2, attentionHeadDim: 4, crossAttentionDim: 6 },
    });
    await fillByName(layer);
    const tokens = named('x', [batch * frames, 4, 8]);
    const [perVideo, perPixel] = [named('c', [batch, 2, 6]), named('d', [batch * 4, 2, 6])];
    const inAxis = tf.reshape(perPixel, [batch, 4, 2, 6]);
    for (const [flat, video] of [
      [perVideo, perVideo],
      [perPixel, perPixel],
      [perPixel, inAxis],
    ]) {
      await expectForms(
        tf.tidy(() => layer.apply([tokens, flat!], { numFrames: frames })),
        tf.tidy(() => layer.apply([asVideos(tokens), video!])),
      );
    }
    tf.dispose([tokens, perVideo, perPixel, inAxis]);
    layer.dispose();
  });

  it('indicators of residual blocks and blends', async () => {
    const resnet = new SpatioTemporalResBlock({ inChannels: 32 });
    await fillByName(resnet);
    await expectForms(
      tf.tidy(() => resnet.apply([x(), indicator], { numFrames: frames })),
      tf.tidy(() => resnet.apply([asVideos(x()), indicator])),
    );
    resnet.dispose();

    const blend = new AlphaBlender({ alpha: 0.3 });
    for (const shape of [
      [4, 5],
      [frames, 2, 4],
    ]) {
      const both = ['a', 'b'].map((name) => named(name, [batch * frames, ...shape]));
      await expectForms(
        tf.tidy(() => blend.apply([...both, indicator])),
        tf.tidy(() => blend.apply([...both.map(asVideos), indicator])),
      );
      await expectForms(
        tf.tidy(() => blend.apply(both)),
        tf.tidy(() => blend.apply(both.map(asVideos))),
      );
      tf.dispose(both);
    }
    expect(() => tf.tidy(() => void blend.apply([x(), x(), tf.zeros([3, 3])]))).to.throw(
      'imageOnlyIndicator has to be of shape [B, F] with B*F = 6 but is [3,3].',
    );
    blend.dispose();
  });

  it('a normalisation over all frames jointly needs no number of frames', async () => {
    const norm = new GroupNormalization({ numChannels: 32, numGroups: 8 });
    await fillByName(norm);
    for (const kwargs of [{}, { numFrames: frames }])
      await expectForms(
        tf.tidy(() => norm.apply(x(), { numFrames: frames })),
        tf.tidy(() => norm.apply(asVideos(x()), kwargs)),
      );
    norm.dispose();
  });

  it('those of the UNet and the VAE', async () => {
    const unet = new UNetSpatioTemporalConditionModel({
      ...{ blockOutChannels: [32], layersPerBlock: 1, crossAttentionDim: 6, numAttentionHeads: 2 },
      ...{ additionTimeEmbedDim: 8, projectionClassEmbeddingsInputDim: 24 },
      ...{ downBlockTypes: ['CrossAttnDownBlockSpatioTemporal'] },
      ...{ upBlockTypes: ['CrossAttnUpBlockSpatioTemporal'] },
    });
    await fillByName(unet);
    const sample = named('sample', [batch * frames, 2, 2, 8]);
    const others = [tf.tensor1d([1, 2]), named('c', [batch, 1, 6]), named('ids', [batch, 3])];
    await expectForms(
      tf.tidy(() => unet.apply([sample, ...others], { numFrames: frames })),
      tf.tidy(() => unet.apply([asVideos(sample), ...others])),
    );
    unet.dispose();

    const vae = new AutoencoderKLTemporalDecoder({ blockOutChannels: [32] });
    await fillByName(vae);
    const pictures = named('pictures', [batch * frames, 3, 4, 3]);
    const noise = named('noise', [batch * frames, 3, 4, 4]);
    await expectForms(
      tf.tidy(() => vae.apply([pictures, noise], { numFrames: frames })),
      tf.tidy(() => vae.apply([asVideos(pictures), asVideos(noise)])),
    );
    tf.dispose([sample, ...others, pictures, noise]);
    vae.dispose();
  });
});

describe('layers of pictures', () => {
  it('run on the frames of videos in `tf.layers.timeDistributed`', async () => {
    const down = new Downsample2D({ channels: 4 });
    const input = tf.input({ shape: [frames, 4, 4, 4] });
    const distributed = tf.layers.timeDistributed({ layer: down });
    const model = tf.model({
      inputs: input,
      outputs: distributed.apply(input) as tf.SymbolicTensor,
    });
    expect(model.outputs[0]!.shape).to.deep.equal([null, frames, 2, 2, 4]);
    await fillByName(down);
    const loaded = await throughStorage(model);
    const x = named('x', [batch * frames, 4, 4, 4]);
    const expected = down.apply(x);
    for (const one of [model, loaded]) {
      const predicted = tf.tidy(
        () => one.predict(tf.reshape(x, [batch, frames, 4, 4, 4])) as tf.Tensor,
      );
      expect(relativeL2(await predicted.data(), await expected.data())).to.be.at.most(ROUNDING);
      predicted.dispose();
    }
    tf.dispose([x, expected]);
    model.dispose();
    loaded.dispose();
  });
});

describe('a classifier of videos', () => {
  // Shuffling and the first weights of `dense` are drawn by it.
  const { random } = Math;
  before(() => {
    let state = 1;
    Math.random = () => {
      state = (16807 * state) % 2147483647;
      return state / 2147483647;
    };
  });
  after(() => {
    Math.random = random;
  });

  it('learns from one label per video, with shuffling', async function () {
    if (!['tensorflow', 'cpu'].includes(testBackend)) this.skip();
    const videos = tf.input({ shape: [3, 2, 2, 1] });
    const lift = new TemporalConv({ inChannels: 1, outChannels: 32 });
    const mix = new TransformerSpatioTemporalModel({
      ...{ inChannels: 32, numAttentionHeads: 2, attentionHeadDim: 16 },
    });
    const features = mix.apply(lift.apply(videos));
    const flat = tf.layers.flatten().apply(features);
    const outputs = tf.layers.dense({ units: 1, activation: 'sigmoid' }).apply(flat);
    const model = tf.model({ inputs: videos, outputs: outputs as tf.SymbolicTensor });
    await fillByName(lift);
    await fillByName(mix);
    // Videos that become brighter, and such that become darker.
    const rises = Array.from({ length: 12 }, (_, i) => i % 2);
    const [x, labels] = [
      tf.tensor(
        rises.flatMap((rise, i) =>
          [0, 1, 2].flatMap((t) => Array(4).fill(i / 12 + (rise ? t : 2 - t))),
        ),
        [12, 3, 2, 2, 1],
      ),
      tf.tensor2d(rises, [12, 1]),
    ];
    model.compile({
      optimizer: tf.train.adam(3e-3),
      loss: 'binaryCrossentropy',
      metrics: ['accuracy'],
    });
    const { history } = await model.fit(x, labels, {
      ...{ epochs: 20, batchSize: 5, shuffle: true, verbose: 0 },
    });
    expect(history.loss.at(-1)).to.be.below((history.loss[0] as number) / 2);
    expect(history.acc.at(-1)).to.equal(1);
    const loaded = await throughStorage(model);
    const [before, after] = [model, loaded].map((one) => one.predict(x) as tf.Tensor);
    expect(await after!.data()).to.deep.equal(await before!.data());
    tf.dispose([x, labels, before!, after!]);
    model.dispose();
    loaded.dispose();
  });
});
