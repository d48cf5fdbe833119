/** Names in the original files, for all weights of the published model. */
import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import type { WeightedComponent } from '../../../src/checkpoints/index.ts';
import { originalLayout, originalPlaces } from '../../../src/checkpoints/original/keys.ts';
import { expectError } from '../files.ts';

const rows = readFileSync(new URL('../../fixtures/svd-original-keys.tsv', import.meta.url), 'utf8')
  .trimEnd()
  .split('\n')
  .slice(1)
  .map((line) => line.split('\t'));
const attention = 'CrossAttnUpBlockSpatioTemporal';
const published = originalLayout(
  {
    layers_per_block: 2,
    up_block_types: ['UpBlockSpatioTemporal', attention, attention, attention],
  },
  { block_out_channels: [128, 256, 512, 512], layers_per_block: 2 },
);

describe('originalPlaces', () => {
  it('knows all 2,322 names of the published model, and how each tensor differs', () => {
    expect(rows).to.have.length(2322);
    for (const [component, key, original, , note = ''] of rows) {
      const [{ name, third, transposed, asConvolution }] = originalPlaces(
        component as WeightedComponent,
        key,
        published,
      );
      expect(name, key).to.equal(original);
      const rowsOf = /rows (\d) of 3/.exec(note)?.[1];
      expect(third, key).to.equal(rowsOf === undefined ? undefined : Number(rowsOf));
      expect(transposed ?? false, key).to.equal(note === 'transposed');
      expect(asConvolution ?? false, key).to.equal(note.startsWith('1x1 convolution'));
    }
  });

  it('gives no two weights one place', () => {
    const places = rows.map(([component, key]) => {
      const [{ name, third }] = originalPlaces(component as WeightedComponent, key, published);
      return `${name} ${third}`;
    });
    expect(new Set(places).size).to.equal(rows.length);
  });

  it("knows both places of the decoder's last convolution", () => {
    expect(originalPlaces('vae', 'decoder.time_conv_out.bias', published)).to.deep.equal([
      { name: 'first_stage_model.decoder.conv_out.time_mix_conv.bias' },
      { name: 'first_stage_model.decoder.time_mix_conv.bias' },
    ]);
  });

  it('knows where ComfyUI saves the encoder and the image encoder', () => {
    const attention = 'mid_block.attentions.0.to_q.weight';
    const asConvolution = true;
    expect(originalPlaces('vae', `encoder.${attention}`, published)).to.deep.equal([
      { name: 'conditioner.embedders.3.encoder.encoder.mid.attn_1.q.weight', asConvolution },
      { name: 'first_stage_model.encoder.mid.attn_1.q.weight', asConvolution },
    ]);
    const visual = 'conditioner.embedders.0.open_clip.model.visual.';
    const key = 'vision_model.encoder.layers.0.self_attn.k_proj.weight';
    expect(originalPlaces('image_encoder', key, published)).to.deep.equal([
      { name: `${visual}transformer.resblocks.0.attn.in_proj_weight`, third: 1 },
      { name: `${visual}${key}` },
    ]);
  });

  it('counts blocks of models of another size', () => {
    const small = originalLayout(
      { layers_per_block: [1, 2], up_block_types: [attention, 'UpBlockSpatioTemporal'] },
      { block_out_channels: [32, 64] },
    );
    const nameOf = (key: string) =>
      originalPlaces('unet', key, small)[0].name.replace('model.diffusion_model.', '');
    expect(nameOf('down_blocks.0.downsamplers.0.conv.weight')).to.equal(
      'input_blocks.2.0.op.weight',
    );
    expect(nameOf('down_blocks.1.resnets.0.time_mixer.mix_factor')).to.equal(
      'input_blocks.3.0.time_mixer.mix_factor',
    );
    expect(nameOf('up_blocks.0.upsamplers.0.conv.weight')).to.equal(
      'output_blocks.2.2.conv.weight',
    );
    expect(nameOf('up_blocks.1.resnets.1.spatial_res_block.norm1.bias')).to.equal(
      'output_blocks.4.0.in_layers.0.bias',
    );
    expect(
      originalPlaces('vae', 'decoder.up_blocks.0.upsamplers.0.conv.bias', small),
    ).to.deep.equal([{ name: 'first_stage_model.decoder.up.1.upsample.conv.bias' }]);
  });

  it('refuses names that it does not know', () =>
    expectError(
      () => originalPlaces('unet', 'down_blocks.0.motion_modules.0.norm.weight', published),
      'motion_modules',
    ));
});
