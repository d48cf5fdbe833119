import { readFileSync } from 'node:fs';
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { convertCheckpoint } from '../../../converters/index.ts';
import { checkCounts } from '../../../src/checkpoints/configs/counts.ts';
import type { Json } from '../../../src/checkpoints/configs/json.ts';
import type { WeightedComponent } from '../../../src/checkpoints/diffusers/names.ts';
import { openCheckpoint } from '../../../src/checkpoints/index.ts';
import { publishedConfigs } from '../../../src/checkpoints/original/publishedConfigs.ts';
import { StableVideoDiffusionPipeline } from '../../../src/pipelines/node.ts';
import { withModel } from '../../converters/models.ts';
import { testBackend } from '../../setup.ts';
import { expectError, inTemporaryFolder } from '../files.ts';

const tiny = fileURLToPath(new URL('../../../weights/tiny', import.meta.url));
const table = new URL('../../fixtures/svd-state-dict-shapes.tsv', import.meta.url);

async function edit(path: string, change: Json): Promise<void> {
  const json = JSON.parse(await readFile(path, 'utf8'));
  await writeFile(path, JSON.stringify({ ...json, ...change }));
}

describe('the weights limit what configs may ask for', () => {
  const cases: [component: WeightedComponent, change: Json, problem: string][] = [
    [
      'image_encoder',
      { num_hidden_layers: 24 },
      'num_hidden_layers asks for 24, but the weights hold 2 in vision_model.encoder.layers.',
    ],
    [
      'unet',
      { layers_per_block: 24 },
      'layers_per_block asks for 24, but the weights hold 1 in down_blocks.0.resnets.',
    ],
    [
      'unet',
      { layers_per_block: [1, 1, 2] },
      'layers_per_block asks for 2, but the weights hold 1 in down_blocks.2.resnets.',
    ],
    [
      'unet',
      { transformer_layers_per_block: 3 },
      'transformer_layers_per_block asks for 3, but the weights hold 1 in down_blocks.0.attentions.0.transformer_blocks.',
    ],
    [
      'vae',
      { layers_per_block: 7 },
      'layers_per_block asks for 7, but the weights hold 1 in encoder.down_blocks.0.resnets.',
    ],
    [
      'vae',
      {
        block_out_channels: Array(8).fill(64),
        down_block_types: Array(8).fill('DownEncoderBlock2D'),
      },
      'block_out_channels asks for 8, but the weights hold 4 in encoder.down_blocks.',
    ],
  ];
  const wide: typeof cases = [
    [
      'unet',
      { block_out_channels: [64, 4096, 64] },
      'block_out_channels asks for 4096, but the weights hold 64 in ' +
        'down_blocks.1.resnets.0.spatial_res_block.conv1.bias.',
    ],
    [
      'vae',
      { block_out_channels: [64, 64, 64, 160] },
      'block_out_channels asks for 160, but the weights hold 128 in ' +
        'encoder.down_blocks.3.resnets.0.conv1.bias.',
    ],
    [
      'image_encoder',
      { hidden_size: 65536 },
      'hidden_size asks for 65536, but the weights hold 64 in vision_model.pre_layrnorm.bias.',
    ],
  ];
  for (const [component, change, problem] of [...cases, ...wide]) {
    it(`in diffusers' format: ${problem}`, () =>
      inTemporaryFolder(async (folder) => {
        const copy = join(folder, 'model');
        await cp(tiny, copy, { recursive: true });
        const config = join(copy, component, 'config.json');
        await edit(config, change);
        await using files = await openCheckpoint(copy);
        await expectError(() => files.weights(component), `${config}: ${problem}`);
        await expectError(
          () => StableVideoDiffusionPipeline.fromPretrained(copy, { backend: testBackend }),
          problem,
        );
      }));
  }

  it('in artifacts of TensorFlow.js', () =>
    withModel('float32', async (model, path) => {
      const copy = path('tfjs');
      await convertCheckpoint(model, copy, { to: 'tfjs' });
      await edit(join(copy, 'unet/config.json'), { layers_per_block: 24 });
      await using files = await openCheckpoint(copy);
      await expectError(() => files.weights('unet'), 'layers_per_block asks for 24');
    }));

  it('in original files', () =>
    withModel('float32', async (model, path) => {
      const [file, config] = [path('svd.safetensors'), path('configs')];
      await convertCheckpoint(model, file, { to: 'original' });
      await cp(model, config, { recursive: true });
      for (const [component, change, problem] of [
        ['image_encoder', { num_hidden_layers: 128 }, 'num_hidden_layers asks for 128, but'],
        ['unet', { layers_per_block: 64 }, 'layers_per_block asks for 64, but'],
        ['vae', { layers_per_block: 64 }, 'layers_per_block asks for 64, but'],
      ] as const) {
        const changed = join(config, component, 'config.json');
        const before = await readFile(changed, 'utf8');
        await edit(changed, change);
        await using files = await openCheckpoint(file, { config });
        await expectError(() => files.weights(component), `${changed}: ${problem}`);
        await writeFile(changed, before);
      }
    }));

  it('and have all that the published configs ask for', () => {
    const shapes: Record<string, Map<string, number[]>> = {};
    for (const line of readFileSync(table, 'utf8').trimEnd().split('\n')) {
      const [component, name, shape] = line.split('\t');
      shapes[component] ??= new Map();
      shapes[component].set(name, shape.split('x').map(Number));
    }
    const { configs } = publishedConfigs(25);
    for (const component of ['unet', 'vae', 'image_encoder'] as const) {
      const found = shapes[component];
      expect(found.size, component).to.be.above(100);
      checkCounts('svd', component, configs[component], {
        names: () => [...found.keys()],
        info: (name) => ({ dtype: 'F16', shape: found.get(name)!, bytes: 0 }),
      });
    }
  });
});
