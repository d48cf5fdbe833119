/** Files whose endings are in capitals, as some systems and programs write them. */
import { copyFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { convertCheckpoint } from '../../converters/index.ts';
import { loadLayerWeights, openCheckpoint } from '../../src/checkpoints/index.ts';
import { framesByName } from '../../src/checkpoints/original/publishedConfigs.ts';
import { tensorFile } from '../../src/cli/terminal/values.ts';
import { ResnetBlock2D } from '../../src/layers/index.ts';
import { readGenerateCommand } from '../cli/generate/readCommand.ts';
import { expectError, inTemporaryFolder } from './files.ts';

const tiny = fileURLToPath(new URL('../../weights/tiny', import.meta.url));

describe('endings in capitals', () => {
  it('are those of original files, whose names tell as much as others', () =>
    inTemporaryFolder(async (folder) => {
      const path = join(folder, 'tiny.safetensors');
      await convertCheckpoint(tiny, path, { to: 'original' });
      await copyFile(path, join(folder, 'TINY.SAFETENSORS'));
      await using model = await openCheckpoint(join(folder, 'TINY.SAFETENSORS'), { config: tiny });
      expect(model.format).to.equal('original');
      expect(framesByName('SVD_XT.SAFETENSORS')).to.equal(25);
      expect(framesByName('SVD.SAFETENSORS')).to.equal(14);
    }));

  it('are those of weight files and pickles', () =>
    inTemporaryFolder(async (folder) => {
      const file = join(folder, 'VAE.SAFETENSORS');
      await copyFile(join(tiny, 'vae/diffusion_pytorch_model.safetensors'), file);
      const layer = new ResnetBlock2D({ name: 'mine', inChannels: 64 });
      await loadLayerWeights(layer, file, 'encoder.down_blocks.0.resnets.0');
      expect(layer.parameters()).to.have.length.above(3);
      layer.dispose();
      await writeFile(join(folder, 'SVD.CKPT'), '');
      await expectError(() => openCheckpoint(join(folder, 'SVD.CKPT')), 'runs code');
    }));

  it('are those of tensors on the command line', () => {
    expect(tensorFile('DUMP.SAFETENSORS', 'dump')).to.equal('DUMP.SAFETENSORS');
    const args = ['a.SafeTensors', 'b.png', '--output', 'X.MP4'];
    expect(() => readGenerateCommand(args)).to.throw('a.SafeTensors has to be the only IMAGE');
  });
});
