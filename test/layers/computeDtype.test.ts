/** Layers that compute in half precision. */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import {
  Attention,
  type ComputeDtype,
  FeedForward,
  Linear,
  ResnetBlock2D,
} from '../../src/layers/index.ts';
import { AutoencoderKLTemporalDecoder } from '../../src/models/index.ts';
import { relativeL2 } from '../harness/fixtures.ts';
import { fillByName, inputValues } from '../harness/nameHash.ts';
import { testBackend } from '../setup.ts';

const input = (shape: number[]) => tf.tensor(inputValues('input', shape, -1, 1).data, shape);

describe('computeDtype', () => {
  it('is passed on to all below a layer', () => {
    const block = new FeedForward({ name: 'ff', dim: 8 });
    const of = () => [block, ...block.children].map((layer) => layer.computeDtype);
    expect(new Set(of())).to.deep.equal(new Set(['float32']));
    block.computeDtype = 'float16';
    expect(new Set(of())).to.deep.equal(new Set(['float16']));
    block.children[0]!.computeDtype = 'bfloat16';
    expect(of().slice(0, 2)).to.deep.equal(['float16', 'bfloat16']);
  });

  it('is refused by another name', () => {
    const layer = new Linear({ name: 'linear', inFeatures: 2, outFeatures: 2 });
    expect(() => {
      layer.computeDtype = 'half' as ComputeDtype;
    }).to.throw('`computeDtype` has to be one of float32, float16, bfloat16 but is half.');
    expect(layer.computeDtype).to.equal('float32');
  });

  it('leaves the encoder of the VAE in float32 if its configuration has forceUpcast', () => {
    for (const forceUpcast of [true, false]) {
      const vae = new AutoencoderKLTemporalDecoder({ blockOutChannels: [32], forceUpcast });
      vae.computeDtype = 'float16';
      const parts = Object.fromEntries(
        vae.children.map((child) => [child.name, child.computeDtype]),
      );
      const encoding = forceUpcast ? 'float32' : 'float16';
      expect(parts).to.deep.equal({ encoder: encoding, decoder: 'float16', quant_conv: encoding });
    }
  });

  const layers = {
    attention: () => ({
      layer: new Attention({ name: 'layer', queryDim: 32, heads: 2, dimHead: 16 }),
      inputs: [input([2, 40, 32])],
    }),
    'feed-forward': () => ({
      layer: new FeedForward({ name: 'layer', dim: 32 }),
      inputs: [input([2, 5, 32])],
    }),
    resnet: () => ({
      layer: new ResnetBlock2D({ name: 'layer', inChannels: 32, outChannels: 64 }),
      inputs: [input([1, 6, 5, 32])],
    }),
  };
  for (const [name, make] of Object.entries(layers)) {
    for (const [dtype, roundoff] of [
      ['float16', 2 ** -11],
      ['bfloat16', 2 ** -8],
    ] as const) {
      it(`rounds the products of a layer (${name}, ${dtype}), and frees what it needs for it`, async function () {
        if (testBackend !== 'tensorflow') this.skip();
        const { layer, inputs } = make();
        await fillByName(layer);
        const exact = layer.call(inputs);
        const before = tf.memory().numTensors;
        layer.computeDtype = dtype;
        const rounded = layer.call(inputs);
        expect(tf.memory().numTensors - before).to.equal(1);
        const distance = relativeL2(await rounded.data(), await exact.data());
        // A few products in a row, each off by four units of roundoff at most; and by more than
        // float32 is.
        expect(distance).to.be.at.most(16 * roundoff);
        expect(distance).to.be.at.least(roundoff / 16);
        tf.dispose([exact, rounded, ...inputs]);
        layer.dispose();
      });
    }
  }

  it('gives way to float32 while gradients are recorded', async function () {
    if (testBackend !== 'tensorflow') this.skip();
    const { layer, inputs } = layers['feed-forward']();
    await fillByName(layer);
    const gradient = () => tf.grad((x) => layer.call([x]) as tf.Tensor)(inputs[0]!);
    const exact = gradient();
    layer.computeDtype = 'float16';
    const same = gradient();
    expect(await same.data()).to.deep.equal(await exact.data());
    tf.dispose([exact, same, ...inputs]);
    layer.dispose();
  });
});
