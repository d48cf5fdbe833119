import { cp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import {
  type Checkpoint,
  openModelFolder,
  type WeightedComponent,
} from '../../../src/checkpoints/index.ts';
import { expectError, fixture, inTemporaryFolder } from '../files.ts';

const weighted: WeightedComponent[] = ['unet', 'vae', 'image_encoder'];

/** Runs `use` with a copy of the fixture that may be spoilt. */
function withCopy(use: (folder: string) => Promise<void>): Promise<void> {
  return inTemporaryFolder(async (folder) => {
    const copy = join(folder, 'model');
    await cp(fixture('model'), copy, { recursive: true });
    await use(copy);
  });
}

async function edit(path: string, change: (json: Record<string, unknown>) => void): Promise<void> {
  const json = JSON.parse(await readFile(path, 'utf8'));
  change(json);
  await writeFile(path, JSON.stringify(json));
}

describe('openModelFolder', () => {
  it('reads the index and every config that diffusers and transformers wrote', async () => {
    const folder = await openModelFolder(fixture('model'));
    expect(folder.index._class_name).to.equal('StableVideoDiffusionPipeline');
    expect(folder.config('unet')).to.deep.include({ block_out_channels: [32, 64], num_frames: 25 });
    expect(folder.config('vae').scaling_factor).to.equal(0.18215);
    expect(folder.config('image_encoder').hidden_size).to.equal(16);
    expect(folder.config('scheduler')).to.include({
      use_karras_sigmas: true,
      prediction_type: 'v_prediction',
    });
    expect(folder.config('feature_extractor').image_processor_type).to.equal('CLIPImageProcessor');
    await folder.close();
  });

  it('finds single and sharded weights of each variant, and they hold the same', async () => {
    const read = async (folder: Checkpoint, component: WeightedComponent) => {
      const source = await folder.weights(component);
      const names = source.names().sort();
      return {
        names,
        dtype: source.info(names[0]).dtype,
        values: await Promise.all(names.map((name) => source.read(name))),
      };
    };
    const folders = [undefined, 'sharded', 'fp16', 'sharded16'].map((variant) =>
      openModelFolder(fixture('model'), { variant }),
    );
    const [single, sharded, half, shardedHalf] = await Promise.all(folders);
    for (const component of weighted) {
      const whole = await read(single, component);
      expect(whole.dtype).to.equal('F32');
      expect(await read(sharded, component)).to.deep.equal(whole);
      const rounded = await read(half, component);
      expect(rounded.names).to.deep.equal(whole.names);
      expect(rounded.dtype).to.equal('F16');
      expect(rounded.values).to.not.deep.equal(whole.values);
      expect(await read(shardedHalf, component)).to.deep.equal(rounded);
    }
    for (const folder of [single, sharded, half, shardedHalf]) await folder.close();
  });

  it('closes the weights it opened', async () => {
    const folder = await openModelFolder(fixture('model'));
    const source = await folder.weights('unet');
    await folder.close();
    await expectError(() => source.read('norm.bias'), 'closed');
  });

  it('accepts each way of naming the picture processor', () =>
    withCopy(async (folder) => {
      for (const name of ['CLIPImageProcessor', 'CLIPImageProcessorPil']) {
        await edit(join(folder, 'model_index.json'), (json) => {
          json.feature_extractor = ['transformers', name];
        });
        await edit(join(folder, 'feature_extractor', 'preprocessor_config.json'), (json) => {
          delete json.image_processor_type;
          json.feature_extractor_type = name;
        });
        expect(
          (await openModelFolder(folder)).config('feature_extractor').feature_extractor_type,
        ).to.equal(name);
      }
    }));

  it('says what is wrong with the folder or its index', () =>
    withCopy(async (folder) => {
      const open = () => openModelFolder(folder);
      const index = join(folder, 'model_index.json');
      await expectError(
        () => openModelFolder('/nowhere/model'),
        '/nowhere/model',
        'does not exist',
      );
      await expectError(() => openModelFolder(index), index, 'not a folder');
      await edit(index, (json) => {
        json.scheduler = ['diffusers', 'DDIMScheduler'];
      });
      await expectError(
        open,
        ...['scheduler', '"DDIMScheduler"', 'EulerDiscreteScheduler or EDMEulerScheduler or'],
        'It knows no continuous timesteps, which Stable Video Diffusion needs.',
      );
      await edit(index, (json) => {
        json.scheduler = [null, null];
        delete json.vae;
      });
      await expectError(open, 'lacks vae, scheduler');
      await edit(index, (json) => {
        json._class_name = 'StableDiffusionPipeline';
      });
      await expectError(open, folder, '"StableDiffusionPipeline"', 'StableVideoDiffusionPipeline');
      await writeFile(index, '{"_class_name": ');
      await expectError(open, index, 'not valid JSON');
      await rm(index);
      await expectError(open, folder, 'no model_index.json', 'save_pretrained');
    }));

  it('says what is wrong with a component', () =>
    withCopy(async (folder) => {
      const open = () => openModelFolder(folder);
      const config = join(folder, 'feature_extractor', 'preprocessor_config.json');
      await edit(config, (json) => {
        json.image_processor_type = 'ViTImageProcessor';
      });
      await expectError(open, 'feature_extractor', '"ViTImageProcessor"', 'CLIPImageProcessor');
      await writeFile(config, 'x');
      await expectError(open, config, 'not valid JSON');
      await rm(join(folder, 'unet', 'config.json'));
      await expectError(open, join(folder, 'unet', 'config.json'), 'does not exist');
      await rm(join(folder, 'unet'), { recursive: true });
      await rm(join(folder, 'scheduler'), { recursive: true });
      await expectError(open, folder, 'lacks the folders unet, scheduler');
    }));

  it('says which variants there are when one is missing, and how to convert .bin files', () =>
    withCopy(async (folder) => {
      const unet = join(folder, 'unet');
      const weights = async (variant?: string) =>
        (await openModelFolder(folder, { variant })).weights('unet');
      await expectError(
        () => weights('bf16'),
        unet,
        'diffusion_pytorch_model.bf16.safetensors',
        'variants are: fp16, none, sharded, sharded16.',
      );
      const vae = join(folder, 'vae');
      for (const file of await readdir(vae))
        if (/\.(fp16|sharded|sharded16)\./.test(file)) await rm(join(vae, file));
      const model = await openModelFolder(folder, { variant: 'wrong' });
      await expectError(() => model.weights('vae'), 'Its weights have no variants. Leave it out.');
      const name = join(unet, 'diffusion_pytorch_model');
      await rename(`${name}.safetensors`, `${name}.bin`);
      await expectError(
        () => weights(),
        'diffusion_pytorch_model.safetensors',
        'variants are: fp16, sharded, sharded16.',
      );
      await rm(`${name}.fp16.safetensors`);
      for (const variant of ['sharded', 'sharded16'])
        await rm(`${name}.safetensors.index.${variant}.json`);
      await expectError(
        () => weights(),
        'diffusion_pytorch_model.bin',
        'convert',
        'safe_serialization',
      );
      await rm(`${name}.bin`);
      await expectError(() => weights(), 'neither', 'Copy or download the weights');
    }));

  it('passes on what is wrong with a weight file', () =>
    withCopy(async (folder) => {
      const path = join(folder, 'vae', 'diffusion_pytorch_model.safetensors');
      const bytes = await readFile(path);
      await writeFile(path, bytes.subarray(0, 1000));
      const opened = await openModelFolder(folder);
      await expectError(
        () => opened.weights('vae'),
        path,
        `truncated: ${bytes.length - 1000} of the`,
      );
      await opened.close();
    }));
});
