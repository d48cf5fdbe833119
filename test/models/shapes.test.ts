/**
 * The full-size models of Stable Video Diffusion have exactly the weights of the published
 * checkpoints, and declaring them takes no memory.
 */
import { readFileSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { checkpointShape } from '../../src/checkpoints/index.ts';
import { type AnyBlock, withoutWeights } from '../../src/layers/index.ts';
import {
  AutoencoderKLTemporalDecoder,
  CLIPVisionModelWithProjection,
  UNetSpatioTemporalConditionModel,
} from '../../src/models/index.ts';

/** The published configurations; what they leave to the class defaults is left out here too. */
const models: Record<string, () => AnyBlock> = {
  unet: () => new UNetSpatioTemporalConditionModel({ sampleSize: 96 }),
  vae: () =>
    new AutoencoderKLTemporalDecoder({
      blockOutChannels: [128, 256, 512, 512],
      downBlockTypes: Array(4).fill('DownEncoderBlock2D'),
      layersPerBlock: 2,
      sampleSize: 768,
    }),
  image_encoder: () =>
    new CLIPVisionModelWithProjection({
      hiddenSize: 1280,
      intermediateSize: 5120,
      projectionDim: 1024,
      numHiddenLayers: 32,
      numAttentionHeads: 16,
      patchSize: 14,
      hiddenAct: 'gelu',
    }),
};

/** Parameters and tensors of each component, as published. */
const totals: Record<string, [number, number]> = {
  unet: [1_524_623_082, 1428],
  vae: [97_742_847, 374],
  image_encoder: [632_076_800, 520],
};

const table = readFileSync(
  new URL('../fixtures/svd-state-dict-shapes.tsv', import.meta.url),
  'utf8',
)
  .trim()
  .split('\n')
  .map((line) => line.split('\t') as [component: string, key: string, shape: string]);

const sizeOf = (shape: number[]) => tf.util.sizeFromShape(shape);

describe('full-size models', () => {
  const built: Record<string, AnyBlock> = {};
  let grown = 0;

  before(() => {
    const [before, tensors] = [process.memoryUsage().rss, tf.memory().numTensors];
    withoutWeights(() => {
      for (const [name, make] of Object.entries(models)) {
        built[name] = make();
        built[name].build();
      }
    });
    grown = process.memoryUsage().rss - before;
    expect(tf.memory().numTensors - tensors, 'declared weights').to.equal(table.length);
  });

  it('have a table of 2,322 weights', () => {
    expect(table).to.have.lengthOf(2322);
    expect([...new Set(table.map(([component]) => component))].sort()).to.deep.equal(
      Object.keys(models).sort(),
    );
  });

  for (const name of Object.keys(models)) {
    it(`${name}: every name and shape, no more and no less`, () => {
      const expected = table
        .filter(([component]) => component === name)
        .map(([, key, shape]) => `${key} ${shape}`);
      const ours = built[name]!.parameters().map(
        (parameter) => `${parameter.key} ${checkpointShape(parameter).join('x')}`,
      );
      expect(ours.sort()).to.deep.equal(expected.sort());
    });

    it(`${name}: the published number of parameters`, () => {
      const parameters = built[name]!.parameters();
      const values = parameters.reduce(
        (sum, parameter) => sum + sizeOf(parameter.variable.shape as number[]),
        0,
      );
      expect([values, parameters.length]).to.deep.equal(totals[name]);
      expect(built[name]!.countParams()).to.equal(values);
    });
  }

  it('the UNet has 656.1 million parameters in its temporal layers', () => {
    const temporal = built
      .unet!.parameters()
      .filter(({ key }) => /temporal|time_pos_embed|time_mixer/.test(key));
    const values = temporal.reduce(
      (sum, { variable }) => sum + sizeOf(variable.shape as number[]),
      0,
    );
    expect(values / 1e6).to.be.closeTo(656.1, 0.05);
  });

  it('take no memory for 9 GB of declared weights', () => {
    expect(grown).to.be.below(200 * 2 ** 20);
  });

  it('say what to do when they are used without weights', () => {
    const pixels = tf.zeros([1, 224, 224, 3]);
    expect(() => built.image_encoder!.apply(pixels)).to.throw(
      'This layer was built without weights. Load a checkpoint into it before using it.',
    );
    pixels.dispose();
  });

  it('are freed without having had weights', () => {
    const before = tf.memory().numTensors;
    for (const model of Object.values(built)) model.dispose();
    expect(tf.memory().numTensors - before).to.equal(-table.length);
  });
});
