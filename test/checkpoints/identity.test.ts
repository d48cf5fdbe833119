/** Which checkpoint a folder holds: the hashes are held against the `sha256sum` of the system. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cp, mkdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { identifyCheckpoint } from '../../src/checkpoints/index.ts';
import { expectError, fixture, inTemporaryFolder } from './files.ts';

const model = fixture('model');
const sha256 = (data: string | Uint8Array) => createHash('sha256').update(data).digest('hex');
const configs = [
  'feature_extractor/preprocessor_config.json',
  'image_encoder/config.json',
  'model_index.json',
  'scheduler/scheduler_config.json',
  'unet/config.json',
  'vae/config.json',
];

describe('identifyCheckpoint', () => {
  it('names the folder and hashes the files that are read, as sha256sum does', async () => {
    const { id, revision, files, hash } = await identifyCheckpoint(model);
    const weights = [
      'image_encoder/model',
      'unet/diffusion_pytorch_model',
      'vae/diffusion_pytorch_model',
    ].map((f) => `${f}.safetensors`);
    expect({ id, revision }).to.deep.equal({ id: 'model', revision: undefined });
    expect(Object.keys(files)).to.deep.equal([...configs, ...weights].sort());
    for (const [file, sum] of Object.entries(files))
      expect(sum, file).to.equal(sha256(await readFile(join(model, file))));
    if (process.platform !== 'linux') return;
    const printed = execFileSync('sha256sum', Object.keys(files), { cwd: model });
    expect(hash).to.equal(sha256(printed));
  });

  it('hashes the files of the variant, shards and their index included', async () => {
    const half = await identifyCheckpoint(model, { variant: 'fp16' });
    expect(Object.keys(half.files))
      .to.include('unet/diffusion_pytorch_model.fp16.safetensors')
      .and.have.length(9);
    const { files, hash } = await identifyCheckpoint(model, { variant: 'sharded' });
    expect(Object.keys(files).filter((file) => file.startsWith('vae/'))).to.deep.equal([
      'vae/config.json',
      'vae/diffusion_pytorch_model.safetensors.index.sharded.json',
      'vae/diffusion_pytorch_model.sharded-00001-of-00002.safetensors',
      'vae/diffusion_pytorch_model.sharded-00002-of-00002.safetensors',
    ]);
    expect(hash).to.not.equal(half.hash);
  });

  it('tells apart what differs in one byte of a config or a weight file', () =>
    inTemporaryFolder(async (folder) => {
      const seen = new Set<string>();
      for (const [i, file] of [
        '',
        'unet/config.json',
        'unet/diffusion_pytorch_model.safetensors',
      ].entries()) {
        const copy = join(folder, String(i));
        await cp(model, copy, { recursive: true });
        if (file !== '') {
          const bytes = await readFile(join(copy, file));
          bytes[bytes.length - 1] ^= 1;
          if (file.endsWith('.json'))
            await writeFile(join(copy, file), `${await readFile(join(copy, file), 'utf8')}\n`);
          else await writeFile(join(copy, file), bytes);
        }
        seen.add((await identifyCheckpoint(copy)).hash);
      }
      expect(seen.size).to.equal(3);
      expect(seen).to.include((await identifyCheckpoint(model)).hash);
    }));

  it("takes id, commit and the names of large files from the hub's cache", () =>
    inTemporaryFolder(async (folder) => {
      const repository = join(folder, 'models--some-org--svd-xt');
      const commit = '0123456789'.repeat(4);
      const snapshot = join(repository, 'snapshots', commit);
      await mkdir(join(repository, 'blobs'), { recursive: true });
      await cp(model, snapshot, { recursive: true });
      const file = 'unet/diffusion_pytorch_model.safetensors';
      // not what the file hashes to: that shows where it comes from
      const name = 'c0ffee42'.repeat(8);
      await rename(join(snapshot, file), join(repository, 'blobs', name));
      await symlink(join('../../../blobs', name), join(snapshot, file));
      const small = 'ab'.repeat(20);
      await rename(join(snapshot, 'unet/config.json'), join(repository, 'blobs', small));
      await symlink(join('../../../blobs', small), join(snapshot, 'unet/config.json'));

      const { id, revision, files } = await identifyCheckpoint(snapshot);
      expect({ id, revision }).to.deep.equal({ id: 'some-org/svd-xt', revision: commit });
      const plain = await identifyCheckpoint(model);
      expect(files).to.deep.equal({ ...plain.files, [file]: name });
    }));

  it('says what cannot be read', () =>
    inTemporaryFolder(async (folder) => {
      await expectError(() => identifyCheckpoint(join(folder, 'nowhere')), 'nowhere');
      const copy = join(folder, 'model');
      await cp(model, copy, { recursive: true });
      await rm(join(copy, 'vae/diffusion_pytorch_model.safetensors'));
      await expectError(
        () => identifyCheckpoint(copy),
        'has neither diffusion_pytorch_model.safetensors nor',
      );
    }));
});
