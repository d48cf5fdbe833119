import { readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { openSafetensors } from '../../../src/checkpoints/safetensors/file.ts';
import { bits, expectError, fixture, inTemporaryFolder } from '../files.ts';

describe('openSafetensors', () => {
  it('reads what the Python library wrote, each float type as torch converts it', async () => {
    const stored = await openSafetensors(fixture('dtypes.safetensors'));
    const converted = await openSafetensors(fixture('dtypes-as-float32.safetensors'));
    expect(stored.metadata).to.deep.equal({ format: 'pt' });
    expect(converted.metadata).to.deep.equal({});
    expect(converted.names()).to.have.length(12);
    for (const name of converted.names()) {
      expect(bits(await stored.read(name)), name).to.deep.equal(bits(await converted.read(name)));
      expect(stored.info(name).shape).to.deep.equal(converted.info(name).shape);
    }
    await stored.close();
    await converted.close();
  });

  it('reads any type raw, and refuses integers as floats', async () => {
    const file = await openSafetensors(fixture('dtypes.safetensors'));
    expect(file.info('long')).to.deep.equal({ dtype: 'I64', shape: [3], bytes: 24 });
    expect([...new BigInt64Array((await file.readRaw('long')).buffer)]).to.deep.equal([
      1n,
      -2n,
      2n ** 40n,
    ]);
    expect([...(await file.readRaw('byte'))]).to.deep.equal([1, 2, 255]);
    expect([...(await file.readRaw('bool'))]).to.deep.equal([1, 0, 1]);
    await expectError(() => file.read('long'), '"long"', 'I64', 'readRaw');
    await file.close();
  });

  it('gives a new array on every read', async () => {
    const file = await openSafetensors(fixture('dtypes.safetensors'));
    const first = await file.read('matrix.f32');
    first.fill(7);
    expect(await file.read('matrix.f32')).to.not.deep.equal(first);
    await file.close();
  });

  it('names unknown tensors, and files that are closed, missing, folders or not safetensors', async () => {
    const file = await openSafetensors(fixture('dtypes.safetensors'));
    await expectError(() => file.read('nothing'), 'no tensor "nothing"', 'dtypes.safetensors');
    await expectError(() => file.info('nothing'), 'no tensor "nothing"');
    await file.close();
    await file.close();
    await expectError(() => file.read('scalar'), 'closed');
    await expectError(
      () => openSafetensors('/nowhere/a.safetensors'),
      '/nowhere/a.safetensors',
      'does not exist',
    );
    await expectError(() => openSafetensors(fixture('model')), 'not a file');
    await expectError(
      () => openSafetensors(fixture('half.json')),
      'half.json',
      'is a text that begins with "{", not weights: download it again.',
    );
  });

  it('says how many bytes a truncated file lacks, before and after opening', () =>
    inTemporaryFolder(async (folder) => {
      const path = join(folder, 'cut.safetensors');
      const whole = await readFile(fixture('dtypes.safetensors'));
      await writeFile(path, whole.subarray(0, whole.length - 10));
      await expectError(
        () => openSafetensors(path),
        path,
        `10 of the ${whole.length} bytes`,
        'download',
      );
      await writeFile(path, whole);
      const file = await openSafetensors(path);
      await truncate(path, 100);
      await expectError(() => file.read('scalar'), path, 'shorter');
      await file.close();
    }));
});
