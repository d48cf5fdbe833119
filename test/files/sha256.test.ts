import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { sha256OfFiles } from '../../src/files/sha256.ts';
import { inTemporaryFolder } from '../checkpoints/files.ts';

const sha256 = (data: Uint8Array) => createHash('sha256').update(data).digest('hex');

describe('sha256OfFiles', () => {
  it('hashes files larger than what is read at once, and empty ones', () =>
    inTemporaryFolder(async (folder) => {
      const contents = [
        Buffer.alloc(0),
        Buffer.alloc(2 ** 22, 7),
        Buffer.alloc(2 ** 23 + 5, 'svd'),
      ];
      const paths = contents.map((_, i) => join(folder, String(i)));
      for (const [i, content] of contents.entries()) await writeFile(paths[i], content);
      expect(await sha256OfFiles(paths)).to.deep.equal(contents.map(sha256));
    }));

  it('names a file that cannot be read, and stops when asked to', () =>
    inTemporaryFolder(async (folder) => {
      const missing = join(folder, 'nothing');
      const error = await sha256OfFiles([missing]).catch((thrown) => thrown);
      expect(error).to.include({ path: missing, code: 'ENOENT' });
      const path = join(folder, 'large');
      await writeFile(path, Buffer.alloc(2 ** 26));
      const controller = new AbortController();
      const run = sha256OfFiles(
        Array.from({ length: 50 }, () => path),
        { signal: controller.signal },
      );
      const why = new Error('enough');
      setTimeout(() => controller.abort(why), 20);
      expect(await run.catch((error) => error)).to.equal(why);
    }));
});
