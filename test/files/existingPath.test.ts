import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import {
  locateModel,
  openSafetensors,
  type TensorToWrite,
  writeSafetensors,
} from '../../src/checkpoints/index.ts';
import { existingPath } from '../../src/files/existingPath.ts';
import { exportToVideo, loadImage } from '../../src/media/index.ts';

describe('existingPath', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'svd-files-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  it('finds accents that are written in another way, in folders too', async () => {
    await mkdir(join(folder, 'Ausfl\u00fcge'));
    const stored = join(folder, 'Ausfl\u00fcge', 'cafe\u0301.png');
    await writeFile(stored, '');
    expect(await existingPath(join(folder, 'Ausflu\u0308ge', 'caf\u00e9.png'))).to.equal(stored);
  });

  it('finds the narrow spaces of screenshots', async () => {
    const stored = join(folder, 'Screenshot 2026-11-28 at 5.43.54\u202fPM.png');
    await writeFile(stored, '');
    const typed = join(folder, 'Screenshot 2026-11-28 at 5.43.54 PM.png');
    expect(await existingPath(typed)).to.equal(stored);
  });

  it('is how pictures, tensors and models are opened', async () => {
    const [stored, typed] = ['e\u0301', '\u00e9'];
    const one: TensorToWrite = { dtype: 'F32', shape: [1], data: new Float32Array(1) };
    await writeSafetensors(join(folder, `${stored}.safetensors`), { one });
    await (await openSafetensors(join(folder, `${typed}.safetensors`))).close();
    await exportToVideo(
      [{ width: 2, height: 2, data: new Uint8Array(12) }],
      `${folder}/${stored}/`,
    );
    expect(await locateModel(join(folder, typed))).to.equal(join(folder, stored));
    expect((await loadImage(join(folder, typed, '0000.png'))).width).to.equal(2);
  });

  it('leaves alone what is there, what is not, and what could be two files', async () => {
    await writeFile(join(folder, 'a b'), '');
    expect(await existingPath(join(folder, 'a b'))).to.equal(join(folder, 'a b'));
    expect(await existingPath(join(folder, 'none'))).to.equal(join(folder, 'none'));
    expect(await existingPath('org/none')).to.equal('org/none');
    for (const space of ['\u202f', '\u00a0']) await writeFile(join(folder, `c${space}d`), '');
    expect(await existingPath(join(folder, 'c d'))).to.equal(join(folder, 'c d'));
  });
});
