/** The networks against svd-goldens.json. */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { camelCaseConfig } from '../../src/checkpoints/index.ts';
import type { AnyBlock } from '../../src/layers/index.ts';
import {
  AutoencoderKLTemporalDecoder,
  CLIPVisionModelWithProjection,
  UNetSpatioTemporalConditionModel,
} from '../../src/models/index.ts';
import { toOurs, toTheirs } from '../harness/fixtures.ts';
import { expectSummary, golden, goldenNames, VALUE_TOLERANCE } from '../harness/goldens.ts';
import { fillByName, inputValues } from '../harness/nameHash.ts';
import { recordOutputs } from '../harness/stages.ts';
import { clips, runHere, unets, vaes } from './configs.ts';

/** Checks number and size of the weights, which show whether the configuration is the file's. */
function expectWeights(model: AnyBlock, name: string): void {
  const parameters = model.parameters();
  expect(parameters).to.have.lengthOf(golden('models', name, 'tensors'));
  const values = parameters.reduce(
    (sum, { variable }) => sum + tf.util.sizeFromShape(variable.shape as number[]),
    0,
  );
  expect(values).to.equal(golden('models', name, 'params'));
}

/**
 * Checks the distance of diffusers' float32 run from its float64 run, on which the file's tolerance
 * rests.
 */
function expectSmallNoise(...keys: string[]): void {
  expect(golden('models', ...keys)).to.be.below(VALUE_TOLERANCE / 20);
}

const tensor = (name: string, shape: number[], axes: string) =>
  toOurs({ ...inputValues(name, shape), axes });

describe('VAE numbers of svd-goldens.json', () => {
  for (const [name, config] of runHere(vaes)) {
    it(name, async () => {
      const vae = new AutoencoderKLTemporalDecoder(camelCaseConfig(config));
      await fillByName(vae);
      expectWeights(vae, name);
      const x = tensor('vae.x', [3, 3, 32, 32], 'NCHW') as tf.Tensor4D;
      const z = tensor('vae.z', [3, 4, 16, 16], 'NCHW') as tf.Tensor4D;

      const posterior = await vae.encode(x);
      const mode = await toTheirs(posterior.mode(), 'NCHW');
      expect(mode.shape).to.deep.equal(golden('models', name, 'encode_mode_shape'));
      expectSummary(mode, 'models', name, 'encode_mode');
      expectSummary(
        await toTheirs(tf.clone(posterior.logvar), 'NCHW'),
        'models',
        name,
        'encode_logvar',
      );
      posterior.dispose();

      const video = await toTheirs(await vae.decode(z, 3), 'NCHW');
      expect(video.shape).to.deep.equal(golden('models', name, 'decode_shape'));
      expectSummary(video, 'models', name, 'decode_nf3');
      expectSummary(await toTheirs(await vae.decode(z, 1), 'NCHW'), 'models', name, 'decode_nf1');
      const forward = tf.tidy(() => vae.apply(x, { numFrames: 3 }) as tf.Tensor);
      expectSummary(await toTheirs(forward, 'NCHW'), 'models', name, 'forward_nf3');

      expectSmallNoise(name, 'f32_vs_f64_maxdiff_decode');
      expectSmallNoise(name, 'f32_vs_f64_maxdiff_encode');
      tf.dispose([x, z]);
      vae.dispose();
    });
  }
});

describe('image encoder numbers of svd-goldens.json', () => {
  for (const [name, config] of runHere(clips)) {
    it(name, async () => {
      const encoder = new CLIPVisionModelWithProjection(camelCaseConfig(config));
      await fillByName(encoder);
      expectWeights(encoder, name);
      expect(encoder.config.hiddenAct).to.equal(golden('models', name, 'hidden_act'));
      const size = config.image_size;
      const [embeds, hidden] = tf.tidy(
        () => encoder.apply(tensor('clip.pixel_values', [2, 3, size, size], 'NCHW')) as tf.Tensor[],
      );
      expectSummary(await toTheirs(embeds!, 'NC'), 'models', name, 'image_embeds');
      expectSummary(await toTheirs(hidden!, 'NLC'), 'models', name, 'last_hidden_state');
      expectSmallNoise(name, 'f32_vs_f64_maxdiff');
      encoder.dispose();
    });
  }
});

/**
 * Repeats rows that we compute once per video or per timestep to the number that diffusers has.
 */
function repeatRows(x: tf.Tensor, rows: number): tf.Tensor {
  return tf.tile(x, [rows / (x.shape[0] as number), ...Array(x.rank - 1).fill(1)]);
}

describe('UNet numbers of svd-goldens.json', () => {
  for (const [name, config] of runHere(unets)) {
    it(name, async () => {
      const unet = new UNetSpatioTemporalConditionModel(camelCaseConfig(config));
      await fillByName(unet);
      expectWeights(unet, name);
      const stages = goldenNames('models', name).includes('stages')
        ? goldenNames('models', name, 'stages')
        : [];
      const recorded = stages.length > 0 ? recordOutputs(unet) : new Map<string, tf.Tensor>();
      const shape = golden<number[]>('models', name, 'input_shape');
      const [batch, numFrames] = shape as [number, number];
      const predict = (timestep: number) => {
        const output = tf.tidy(() => {
          const inputs = [
            tensor('unet.sample', shape, 'BFCHW'),
            tf.tensor1d([timestep]),
            tensor('unet.encoder_hidden_states', [batch, 1, 32], 'NLC'),
            tf.tensor2d(Array(batch).fill([6, 127, 0.02])),
          ];
          return unet.apply(inputs, { numFrames }) as tf.Tensor;
        });
        return toTheirs(output, 'BFCHW', numFrames);
      };

      const plain = await predict(golden('models', name, 'timestep'));
      expect([...recorded.keys()]).to.include.members(stages);
      for (const stage of stages) {
        const ours = recorded.get(stage)!;
        const { shape } = golden<{ shape: number[] }>('models', name, 'stages', stage);
        const values = await toTheirs(
          repeatRows(ours, shape[0]!),
          ours.rank === 4 ? 'NCHW' : 'NLC',
        );
        expectSummary(values, 'models', name, 'stages', stage);
      }
      expect(plain.shape).to.deep.equal(golden('models', name, 'out_shape'));
      expectSummary(plain, 'models', name, 'out');
      expectSmallNoise(name, 'f32_vs_f64_maxdiff');

      // In diffusers, feed-forwards in slices change only the order of sums, so the sliced run has
      // to agree with the plain numbers.
      expectSmallNoise(name, 'maxdiff_chunk_dim0');
      unet.enableForwardChunking(1, 0);
      expectSummary(await predict(10), 'models', name, 'out_timestep_10');
      tf.dispose([...recorded.values()]);
      unet.dispose();
    });
  }
});
