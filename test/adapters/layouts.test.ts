/** The names of tensors in LoRA files, and what is no LoRA for a model. */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { loraKey } from '../../src/adapters/keys.ts';
import { type LoraOptions, putLora } from '../../src/adapters/load.ts';
import { lorasOf } from '../../src/adapters/lora.ts';
import { loraLayers } from '../../src/adapters/targets.ts';
import { withoutWeights } from '../../src/layers/index.ts';
import { UNetSpatioTemporalConditionModel } from '../../src/models/index.ts';
import { readFixture } from '../harness/fixtures.ts';
import { loraSource, peftTensors, type Tensors } from '../harness/lora.ts';
import { warningsOf } from '../harness/warnings.ts';

const fixture = await readFixture('lora', 'attention.safetensors');
const convolutions = await readFixture('lora', 'convolutions.safetensors');
const names = JSON.parse(fixture.metadata.names!) as Record<'diffusers' | 'kohya', string[]>;
const all = peftTensors(fixture, 'a');
/** The tensors of the middle block. */
const some = Object.fromEntries(Object.entries(all).filter(([key]) => key.startsWith('mid_block')));

const unet = withoutWeights(() => new UNetSpatioTemporalConditionModel(fixture.config));

/** What a LoRA of these tensors puts on the UNet: the values of each layer, and its factor. */
async function put(
  tensors: Tensors,
  {
    metadata,
    config,
    ...options
  }: LoraOptions & {
    metadata?: Record<string, string>;
    config?: Record<string, unknown>;
    othersOf?: (path: string) => string[];
  } = {},
) {
  const layers = loraLayers('test', unet);
  const source = loraSource(tensors, metadata);
  const file = { source, label: 'my.safetensors', config };
  await putLora(file, layers, options, options.othersOf);
  const found = [...layers].flatMap(([path, layer]) =>
    lorasOf(layer).map(({ down, up, alpha, rank }) => {
      const values = [down, up].map((each) => [...each.read().dataSync()]);
      return { path, values, factor: alpha / rank };
    }),
  );
  return found;
}

const renamed = (tensors: Tensors, name: (key: string, i: number) => string): Tensors =>
  Object.fromEntries(Object.entries(tensors).map(([key, value], i) => [name(key, i), value]));

const scalar = (value: number) => ({ shape: [], data: Float32Array.of(value) });

describe('the layouts of LoRA files', () => {
  let expected: Awaited<ReturnType<typeof put>>;
  let tensors: number;
  before(async () => {
    expected = await put(some);
    clear();
    tensors = tf.memory().numTensors;
  });
  const clear = () => {
    for (const layer of loraLayers('test', unet).values()) {
      for (const { variables } of lorasOf(layer)) for (const each of variables) each.dispose();
      layer.adapters = [];
    }
  };
  afterEach(() => {
    clear();
    expect(tf.memory().numTensors, 'tensors').to.equal(tensors);
  });
  after(() => unet.dispose());

  const down = (key: string) =>
    key.replace('.lora_A.', '.lora.down.').replace('.lora_B.', '.lora.up.');
  const layouts: Record<string, (key: string, i: number) => string> = {
    'of peft with the name of an adapter': (key) => key.replace(/(lora_[AB])/, '$1.default'),
    'of diffusers': (key) => `unet.${key}`,
    'of peft alone': (key) => `base_model.model.${key}`,
    'of peft alone, of a pipeline': (key) => `base_model.model.unet.${key}`,
    'of older diffusers': (_, i) => names.diffusers[i]!,
    'of older diffusers, of a pipeline': (_, i) => `unet.${names.diffusers[i]!}`,
    'of the oldest diffusers': (key) =>
      down(key).replace(/(to_\w+)(\.0)?\.lora\./, 'processor.$1_lora.'),
    'of kohya': (_, i) => names.kohya[i]!,
    'of kohya with dots': (key) =>
      `unet.${key.replace('lora_A', 'lora_down').replace('lora_B', 'lora_up')}`,
    'of ComfyUI': (key) => `diffusion_model.${key}`,
  };
  for (const [layout, name] of Object.entries(layouts)) {
    it(`are read: that ${layout}`, async () => {
      expect(await put(renamed(some, name))).to.deep.equal(expected);
    });
  }

  it('are read in the names of original files', async () => {
    const othersOf = (path: string) => [path.replace('mid_block.attentions.0', 'middle_block.1')];
    const original = (key: string) => key.replace('mid_block.attentions.0', 'middle_block.1');
    for (const name of [
      (key: string) => `diffusion_model.${original(key)}`,
      (key: string) =>
        original(key)
          .replace(/\.lora_A\.weight/, '')
          .replace(/\.lora_B\.weight/, '#')
          .replaceAll('.', '_')
          .replace(
            /^(.*?)(#?)$/,
            (_, stem, isUp) => `lora_unet_${stem}.lora_${isUp ? 'up' : 'down'}.weight`,
          ),
    ]) {
      expect(await put(renamed(some, name), { othersOf })).to.deep.equal(expected);
      clear();
    }
  });

  it('take matrices of convolutions of size 1 for linear maps, and the other way round', async () => {
    const wider = Object.fromEntries(
      Object.entries(some).map(([key, { shape, data }]) => [
        key,
        { shape: [...shape, 1, 1], data },
      ]),
    );
    expect(await put(wider)).to.deep.equal(expected);
    clear();
    const own = peftTensors(convolutions, 'a');
    const shortcuts = Object.fromEntries(
      Object.entries(own).filter(([key]) => key.includes('conv_shortcut')),
    );
    expect(Object.keys(shortcuts)).to.not.deep.equal([]);
    const plain = await put(shortcuts);
    clear();
    const flat = Object.fromEntries(
      Object.entries(shortcuts).map(([key, { shape, data }]) => [
        key,
        { shape: shape.slice(0, 2), data },
      ]),
    );
    expect(await put(flat)).to.deep.equal(plain);
  });

  it('say alpha in a tensor, in metadata, in a config, or not at all, when it is the rank', async () => {
    const factors = async (...args: Parameters<typeof put>) => {
      const found = await put(...args);
      clear();
      return [...new Set(found.map(({ factor }) => factor))];
    };
    const kohya = renamed(some, (_, i) => names.kohya[i]!);
    const alphas = Object.fromEntries(
      Object.keys(kohya).map((key) => [key.replace(/\.lora_.*/, '.alpha'), scalar(2)]),
    );
    expect(await factors(some)).to.deep.equal([1]);
    expect(await factors({ ...kohya, ...alphas })).to.deep.equal([0.5]);
    const metadata = { lora_adapter_metadata: '{"unet.r": 4, "unet.lora_alpha": 8}' };
    expect(await factors(some, { metadata })).to.deep.equal([2]);
    expect(await factors(some, { config: { lora_alpha: 12 } })).to.deep.equal([3]);
    expect(await factors(some, { config: { lora_alpha: 3, use_rslora: true } })).to.deep.equal([
      1.5,
    ]);
    expect(await factors({ ...kohya, ...alphas }, { metadata })).to.deep.equal([0.5]);
  });

  it('warn of tensors that no layer is for, and name those of text encoders', async () => {
    const others = {
      'unet.nowhere.to_q.lora_A.weight': some[Object.keys(some)[0]!]!,
      'lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight': scalar(1),
      'text_encoder.text_model.encoder.layers.0.mlp.fc1.lora_A.weight': scalar(1),
    };
    const texts = await warningsOf(async () => {
      expect(await put({ ...some, ...others })).to.deep.equal(expected);
    });
    expect(texts).to.deep.equal([
      'The LoRA my.safetensors has 1 tensor of no layer of the model ' +
        '(unet.nowhere.to_q.lora_A.weight), and 2 tensors of text encoders, which the model has ' +
        'not (lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight, ' +
        'text_encoder.text_model.encoder.layers.0.mlp.fc1.lora_A.weight).',
    ]);
  });

  const [first, second] = Object.keys(some) as [string, string];
  const path = first.replace('.lora_A.weight', '');
  const refusals: Record<string, [Tensors, string]> = {
    'of another model': [
      renamed(some, (key) => `transformer.${key.replace('mid_block', 'single_blocks')}`),
      'The LoRA my.safetensors is for another model: none of its 32 tensors (transformer.single',
    ],
    'that is none': [
      { 'conv.weight': scalar(1) },
      'my.safetensors is no LoRA: it has conv.weight.',
    ],
    'of other shapes': [
      { ...some, [first]: { shape: [4, 7], data: new Float32Array(28) } },
      `The LoRA my.safetensors does not fit the model: ${first} is [4,7] instead of [4,64].`,
    ],
    'of two ranks': [
      { ...some, [second]: { shape: [64, 3], data: new Float32Array(192) } },
      `${second} is [64,3] instead of [64,4].`,
    ],
    'of rank 0': [
      {
        [first]: { shape: [0, 64], data: new Float32Array() },
        [second]: { shape: [64, 0], data: new Float32Array() },
      },
      `${first} is of rank 0`,
    ],
    'of half a layer': [{ [first]: some[first]! }, `${path} has ${first} but no up matrix`],
    'with an alpha alone': [
      { ...some, 'conv_in.alpha': scalar(1) },
      'conv_in has conv_in.alpha but no down matrix',
    ],
    'with two for one layer': [
      { ...some, [first.replace('.weight', '.b.weight')]: some[first]! },
      `my.safetensors has two LoRA in one file: ${first} and ${first.replace('.weight', '.b.weight')} are both for ${path}.`,
    ],
    'with values that are not finite': [
      { ...some, [first]: { shape: [4, 64], data: new Float32Array(256).fill(Number.NaN) } },
      `The LoRA my.safetensors has values that are not finite in ${first}.`,
    ],
    'with an alpha that is not finite': [
      { ...some, [`${path}.alpha`]: scalar(Number.NaN) },
      `The LoRA my.safetensors has the alpha NaN for ${path}.`,
    ],
  };
  for (const [kind, name] of Object.entries({
    DoRA: `${path}.lora_magnitude_vector`,
    'DoRA of kohya': 'lora_unet_a.dora_scale',
    LoHa: 'lora_unet_a.hada_w1_a',
    LoKr: 'lora_unet_a.lokr_w1',
    'LoCon with a middle matrix': 'lora_unet_a.lora_mid.weight',
    'LoRA with biases': `${path}.lora_B.bias`,
    'whole differences of weights': 'lora_unet_a.diff',
  }))
    refusals[`that is ${kind}`] = [
      { ...some, [name]: scalar(1) },
      `my.safetensors is ${kind.replace(' of kohya', '')}, by ${name}: only plain LoRA can be loaded.`,
    ];
  for (const [what, [tensors, message]] of Object.entries(refusals)) {
    it(`refuse a file ${what}`, async () => {
      const error = await put(tensors).then(
        () => undefined,
        (error: Error) => error,
      );
      expect(error?.message).to.include(message);
      expect(error?.name).to.equal('CheckpointError');
    });
  }

  it('are told from names of other tensors', () => {
    for (const name of ['conv_in.weight', 'lora_A', 'a.lora_A.bias', 'lora_embedding_A'])
      expect(loraKey(name), name).to.equal(undefined);
  });
});
