import { copyFile, cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { openSafetensors } from '../../../src/checkpoints/safetensors/file.ts';
import { openSharded } from '../../../src/checkpoints/safetensors/sharded.ts';
import { memorySource } from '../../../src/checkpoints/weights/source.ts';
import { expectError, fixture, inTemporaryFolder } from '../files.ts';

describe('memorySource', () => {
  it('gives names in order, infos and copies', async () => {
    const data = Float32Array.of(1, 2);
    const source = memorySource({
      b: { shape: [1, 2], data },
      a: { shape: [], data: Float32Array.of(3) },
    });
    expect(source.names()).to.deep.equal(['b', 'a']);
    expect(source.info('b')).to.deep.equal({ dtype: 'F32', shape: [1, 2], bytes: 8 });
    const read = await source.read('b');
    expect(read).to.deep.equal(data);
    expect(read.buffer).to.not.equal(data.buffer);
  });

  it('names what is wrong', async () => {
    await expectError(
      () => memorySource({ a: { shape: [2, 2], data: new Float32Array(3) } }, 'mine'),
      'mine',
      '"a" has 3',
      '[2,2] needs 4',
    );
    const source = memorySource({}, 'mine');
    await expectError(() => source.info('x'), 'mine has no tensor "x"');
    await expectError(() => source.read('x'), 'mine has no tensor "x"');
  });
});

describe('openSharded', () => {
  const index = 'diffusion_pytorch_model.safetensors.index.json';

  it('reads shards written by diffusers as the whole they make up', async () => {
    const sharded = await openSharded(fixture(`sharded/${index}`));
    const whole = await openSafetensors(fixture('sharded/whole.safetensors'));
    expect(sharded.names()).to.have.members(whole.names());
    for (const name of whole.names()) {
      expect(sharded.info(name)).to.deep.equal(whole.info(name));
      expect(await sharded.read(name)).to.deep.equal(await whole.read(name));
    }
    await expectError(() => sharded.read('nothing'), index, 'no tensor "nothing"');
    await sharded.close();
    await expectError(() => sharded.read('norm.bias'), 'closed');
    await whole.close();
  });

  it('lists missing and broken shards and tensors, and reads those that the index lacks', () =>
    inTemporaryFolder(async (folder) => {
      await cp(fixture('sharded'), folder, { recursive: true });
      const path = join(folder, index);
      const original = JSON.parse(await readFile(path, 'utf8'));
      const first = 'diffusion_pytorch_model-00001-of-00002.safetensors';
      const second = 'diffusion_pytorch_model-00002-of-00002.safetensors';
      const open = async (map: unknown) => {
        await writeFile(path, JSON.stringify({ ...original, weight_map: map }));
        return openSharded(path);
      };
      await expectError(
        () => open({ ...original.weight_map, extra: second }),
        path,
        '1 tensors are missing',
        `extra in ${second}`,
      );
      const { 'norm.bias': _, ...fewer } = original.weight_map;
      const whole = await open(original.weight_map);
      const unlisted = await open(fewer);
      expect(unlisted.names()).to.deep.equal(whole.names());
      expect(await unlisted.read('norm.bias')).to.deep.equal(await whole.read('norm.bias'));
      await Promise.all([whole.close(), unlisted.close()]);
      await expectError(
        () => open({ ...original.weight_map, a: '../a.safetensors' }),
        '"a"',
        'same folder',
        '"../a.safetensors"',
      );
      await expectError(() => open({ ...original.weight_map, a: 1 }), '"a"', 'same folder');
      await expectError(() => open(undefined), 'weight_map');
      await expectError(() => open([]), 'weight_map');
      await copyFile(fixture('half.json'), join(folder, second));
      await expectError(() => open(original.weight_map), second, 'is a text', 'not weights');
      await rm(join(folder, second));
      await expectError(() => open(original.weight_map), '1 of the 2 files', 'missing', second);
      await rm(join(folder, first));
      await expectError(() => open(original.weight_map), '2 of the 2 files', first, second);
      await writeFile(path, '{"weight_map": {');
      await expectError(() => openSharded(path), path, 'not valid JSON');
      await writeFile(path, '3');
      await expectError(() => openSharded(path), path, 'JSON object');
      await rm(path);
      await expectError(() => openSharded(path), path, 'does not exist');
    }));
});
