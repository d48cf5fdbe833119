/** Names in the original files, for all weights of the published model. */
import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import type { WeightedComponent } from '../../../src/checkpoints/index.ts';
import { originalLayout, originalPlace } from '../../../src/checkpoints/original/keys.ts';
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

describe('originalPlace', () => {
  it('knows all 2,322 names of the published model, and how each tensor differs', () => {
    expect(rows).to.have.length(2322);
    for (const [component, key, original, , note = ''] of rows) {
      const { names, third, transposed, asConvolution } = originalPlace(
        component as WeightedComponent,
        key,
        published,
      );
      expect(names[0], key).to.equal(original);
      const rowsOf = /rows (\d) of 3/.exec(note)?.[1];
      expect(third, key).to.equal(rowsOf === undefined ? undefined : Number(rowsOf));
      expect(transposed ?? false, key).to.equal(note === 'transposed');
      expect(asConvolution ?? false, key).to.equal(note.startsWith('1x1 convolution'));
    }
  });

  it('gives no two weights one place', () => {
    const places = rows.map(([component, key]) => {
      const { names, third } = originalPlace(component as WeightedComponent, key, published);
      return `${names[0]} ${third}`;
    });
    expect(new Set(places).size).to.equal(rows.length);
  });

  it("knows both places of the decoder's last convolution", () => {
    expect(originalPlace('vae', 'decoder.time_conv_out.bias', published).names).to.deep.equal([
      'first_stage_model.decoder.conv_out.time_mix_conv.bias',
      'first_stage_model.decoder.time_mix_conv.bias',
    ]);
  });

  it('counts blocks of models of another size', () => {
    const small = originalLayout(
      { layers_per_block: [1, 2], up_block_types: [attention, 'UpBlockSpatioTemporal'] },
      { block_out_channels: [32, 64] },
    );
    const nameOf = (key: string) =>
      originalPlace('unet', key, small).names[0].replace('model.diffusion_model.', '');
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
      originalPlace('vae', 'decoder.up_blocks.0.upsamplers.0.conv.bias', small).names,
    ).to.deep.equal(['first_stage_model.decoder.up.1.upsample.conv.bias']);
  });

  it('refuses names that it does not know', () =>
    expectError(
      () => originalPlace('unet', 'down_blocks.0.motion_modules.0.norm.weight', published),
      'motion_modules',
    ));
});
