/** Other UNets on the disk: what fits, and what is refused. */
import { cp, mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import {
  identifyCheckpoint,
  inspectModel,
  openCheckpoint,
  type TensorToWrite,
  writeSafetensors,
} from '../../../src/checkpoints/index.ts';
import { expectError, tensorsIn } from '../files.ts';
import { editJson, forms, UNET, writeUnets } from './unets.ts';

const jpg = fileURLToPath(new URL('../../fixtures/images/rocket.jpg', import.meta.url));

/** A tensor of zeros. */
const zeros = (...shape: number[]): TensorToWrite => ({
  ...{ dtype: 'F32', shape },
  data: new Float32Array(shape.reduce((product, axis) => product * axis, 1)),
});

describe('openCheckpoint with a UNet', () => {
  let folder: string;
  const path = (name: string) => join(folder, name);
  const open = (unet: string, model = 'model') => openCheckpoint(path(model), { unet: path(unet) });

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'unet-'));
    await writeUnets(folder);
  });
  after(() => rm(folder, { recursive: true }));

  /** Expects that the weights of a UNet are refused. */
  const refused = (unet: string, ...parts: string[]) =>
    expectError(
      async () => {
        await using model = await open(unet);
        await model.weights('unet');
      },
      ...parts,
    );

  it('says what it takes off the names, also of the own files of a folder', async () => {
    const remark = (file: string, start: string) =>
      `All names of weights in ${file} begin with "${start}", as training leaves them: that is taken off.`;
    await using model = await open('wrapped.safetensors');
    expect((await model.weights('unet')).remark).to.equal(
      remark(path('wrapped.safetensors'), 'model._orig_mod.'),
    );
    await using original = await open('original-unet.safetensors');
    expect((await original.weights('unet')).remark).to.equal(undefined);
    await cp(path('model'), path('trained'), { recursive: true });
    for (const component of ['unet', 'vae', 'image_encoder'] as const) {
      const name = component === 'image_encoder' ? 'model' : 'diffusion_pytorch_model';
      const file = path(`trained/${component}/${name}.safetensors`);
      const tensors = Object.entries(await tensorsIn(file));
      await writeSafetensors(
        file,
        Object.fromEntries(tensors.map(([key, tensor]) => [`module.${key}`, tensor])),
      );
    }
    await using trained = await openCheckpoint(path('trained'));
    const { warnings, problems } = await inspectModel(trained);
    expect(problems).to.deep.equal([]);
    expect(warnings).to.have.length(3);
    expect(warnings[0]).to.equal(
      remark(path('trained/unet/diffusion_pytorch_model.safetensors'), 'module.'),
    );
  });

  it('reads the same weights out of every form, and none of the model', async () => {
    await using other = await openCheckpoint(path('other'));
    const expected = await other.weights('unet');
    const [key] = expected.names();
    await cp(path('model'), path('hollow'), { recursive: true });
    await rm(path(`hollow/${UNET}`));
    for (const [what, unet] of Object.entries(forms)) {
      await using model = await open(unet, 'hollow');
      const source = await model.weights('unet');
      expect(source.names(), what).to.have.members(expected.names());
      if (!source.tfjsAxes)
        expect(await source.read(key), what).to.deep.equal(await expected.read(key));
      await using again = await model.reopen();
      expect((await again.weights('unet')).names(), what).to.deep.equal(source.names());
    }
  });

  it('identifies the checkpoint by the UNet that is used', async () => {
    const own = await identifyCheckpoint(path('model'));
    const one = await identifyCheckpoint(path('model'), { unet: path('lcm.safetensors') });
    const other = await identifyCheckpoint(path('other'));
    expect(own.unet).to.equal(undefined);
    expect(one.unet).to.deep.equal({ id: 'lcm.safetensors' });
    expect(one.hash).not.to.equal(own.hash);
    expect(one.files['unet/lcm.safetensors']).to.equal(other.files[UNET]);
    expect(one.files).not.to.have.property(UNET);
    const sharded = await identifyCheckpoint(path('model'), { unet: path('sharded') });
    expect(Object.keys(sharded.files).filter((file) => /unet.*-of-/.test(file))).not.to.be.empty;
    const single = { config: path('model'), unet: path('lcm.safetensors') };
    const { files } = await identifyCheckpoint(path('original.safetensors'), single);
    expect(Object.keys(files)).to.deep.equal(['original.safetensors', 'unet/lcm.safetensors']);
  });

  it('takes its own config if that is of a UNet, and checks it with the other models', async () => {
    await cp(path('half/unet_lcm'), path('own'), { recursive: true });
    const config = path('own/config.json');
    await editJson(config, (json) => {
      json.num_frames = 7;
    });
    await using model = await open('own');
    expect(model.config('unet').num_frames).to.equal(7);
    await using single = await openCheckpoint(path('original.safetensors'), {
      ...{ config: path('model'), unet: path('own') },
    });
    expect(single.config('unet').num_frames).to.equal(7);
    await editJson(config, (json) => {
      json.in_channels = 12;
    });
    const why = `${config}: in_channels is 12, but twice latent_channels of the VAE is 8.`;
    await expectError(() => open('own'), why);
    await expectError(
      () =>
        openCheckpoint(path('original.safetensors'), { config: path('model'), unet: path('own') }),
      why,
    );
    await editJson(config, (json) => {
      json._class_name = 'AutoencoderKL';
    });
    await using without = await open('own');
    expect(without.config('unet').num_frames).not.to.equal(7);
    await writeFile(config, '{');
    await expectError(() => open('own'), config);
  });

  it('lists all differences from the config, and names it', async () => {
    const tensors = await tensorsIn(path('lcm.safetensors'));
    const { 'conv_in.weight': _, 'conv_norm_out.bias': norm, ...rest } = tensors;
    await writeSafetensors(path('unlike.safetensors'), {
      ...rest,
      ...{ 'conv_norm_out.bias': zeros(norm.shape[0] + 1), 'conv_extra.weight': zeros(2) },
      'conv_out.bias': { dtype: 'I32', shape: [4], data: new Uint8Array(16) },
    });
    await refused(
      'unlike.safetensors',
      `The UNet in ${path('unlike.safetensors')} does not fit ${path('model/unet/config.json')}: `,
      '1 missing (conv_in.weight); 1 surplus (conv_extra.weight); 1 of another shape ' +
        `(conv_norm_out.bias is [${norm.shape[0] + 1}] instead of [${norm.shape}]); `,
      '(conv_out.bias is I32)',
      'Use a UNet of the same architecture, or one with its own config.json beside it.',
    );
    await writeSafetensors(path('sv3d.safetensors'), {
      ...tensors,
      'add_embedding.linear_1.weight': zeros(128, 32),
    });
    await refused('sv3d.safetensors', 'It looks like the UNet of SV3D');
    const extra = 'down_blocks.0.attentions.0.transformer_blocks.1.norm1.bias';
    await writeSafetensors(path('deeper.safetensors'), { ...tensors, [extra]: zeros(8) });
    await refused('deeper.safetensors', `does not fit`, `: 1 surplus (${extra}).`);
    await writeSafetensors(path('beside.safetensors'), { ...tensors, logit_scale: zeros(1) });
    await using beside = await open('beside.safetensors');
    expect((await beside.weights('unet')).names()).to.include('logit_scale'); // with a warning
    const scale = 'down_blocks.0.attentions.0.proj_in.scale_weight';
    await writeSafetensors(path('quantised.safetensors'), { ...tensors, [scale]: zeros(1) });
    await refused('quantised.safetensors', 'are quantised', scale);
    const many = Object.keys(tensors)
      .slice(0, 3)
      .map((key) => [key, tensors[key]]);
    await writeSafetensors(path('cut.safetensors'), {
      ...Object.fromEntries(many),
      'down_blocks.0.resnets.0.temporal_res_block.conv1.bias': zeros(1),
    });
    expect((await refused('cut.safetensors', ' more)')).length).to.be.below(3000);
  });

  const others: Record<string, [names: string[], what: string]> = {
    'a UNet of Stable Diffusion': [
      ['conv_in.weight', 'down_blocks.0.resnets.0.conv1.weight'],
      'holds a UNet for pictures: it has no layers over time.',
    ],
    'the same in original names': [
      ['input_blocks.0.0.weight', 'input_blocks.1.0.in_layers.0.weight'],
      'holds a UNet for pictures',
    ],
    'Stable Diffusion 1': [
      ['model.diffusion_model.input_blocks.0.0.weight', 'cond_stage_model.transformer.a'],
      'holds Stable Diffusion 1, which makes pictures from text.',
    ],
    SV3D: [
      [
        'model.diffusion_model.input_blocks.1.0.time_stack.in_layers.0.weight',
        'conditioner.embedders.1.encoder.quant_conv.weight',
      ],
      'holds SV3D',
    ],
    'a LoRA': [['unet.down_blocks.0.attentions.0.to_q.lora_A.weight'], 'holds a LoRA'],
    'an old LoRA': [['down_blocks.0.to_q.processor.to_q_lora.down.weight'], 'holds a LoRA'],
    'the oldest LoRA': [['unet.down_blocks.0.to_q.lora.up.weight'], 'holds a LoRA'],
    'a LoRA of kohya': [['lora_unet_down_blocks_0_to_q.lora_down.weight'], 'holds a LoRA'],
    'a VAE': [['encoder.conv_in.weight', 'decoder.conv_in.weight'], 'holds a VAE, not a UNet.'],
    'an original VAE': [['first_stage_model.decoder.conv_in.weight'], 'holds a VAE, not a UNet.'],
    CLIP: [['vision_model.post_layernorm.bias'], 'holds an image encoder, not a UNet.'],
    'a text encoder': [['text_model.final_layer_norm.bias'], 'holds a text encoder, not a UNet.'],
    ModelScope: [['down_blocks.0.temp_convs.0.conv1.0.weight'], 'holds ModelScope'],
    Flux: [['double_blocks.0.img_attn.qkv.weight'], 'holds a transformer such as Flux'],
    'something else': [['weight'], 'holds no UNet: none of its tensors is in down_blocks'],
  };
  for (const [what, [names, says]] of Object.entries(others)) {
    it(`says what it is given: ${what}`, async () => {
      const tensors = Object.fromEntries(names.map((name) => [name, zeros(1)]));
      await writeSafetensors(path('no-unet.safetensors'), tensors);
      await expectError(() => open('no-unet.safetensors'), path('no-unet.safetensors'), says);
    });
  }

  it('is named where it is taken for a whole model', async () => {
    for (const unet of ['lcm.safetensors', 'bare.safetensors', 'prefixed.safetensors'])
      await expectError(
        () => openCheckpoint(path(unet), { numFrames: 25 }),
        `${path(unet)} holds a UNet alone: pass it as \`unet\` (--unet), beside a whole model.`,
      );
  });

  it('says what else it is given: files of other kinds, nothing, several', async () => {
    await cp(jpg, path('picture.safetensors'));
    await expectError(() => open('picture.safetensors'), 'is a picture, not weights');
    await writeFile(path('lcm.ckpt'), 'PK');
    await expectError(() => open('lcm.ckpt'), 'is a pickle file of PyTorch');
    await expectError(() => open('nowhere.safetensors'), 'Cannot read', 'it does not exist');
    await expectError(() => open('model/vae'), 'holds a VAE, not a UNet.');
    await mkdir(path('empty'));
    await expectError(() => open('empty'), `${path('empty')} has no UNet`);
    await mkdir(path('two'));
    for (const name of ['a', 'b'])
      await cp(path('lcm.safetensors'), path(`two/${name}.safetensors`));
    await expectError(() => open('two'), 'several files of weights: a.safetensors, b.safetensors.');
    await mkdir(path('linked'));
    await symlink(path('lcm.safetensors'), path('linked/lcm.safetensors'));
    await expectError(() => open('linked'), 'leads out of its folder');
    await rename(path('model/unet'), path('model/unet-away'));
    await expectError(() => open('lcm.safetensors'), 'lacks the folders unet.', 'config.json');
    await rename(path('model/unet-away'), path('model/unet'));
  });
});
