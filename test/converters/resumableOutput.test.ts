import { lstat, readdir, readFile, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { convertCheckpoint } from '../../converters/index.ts';
import { writeResumably } from '../../converters/resumableOutput.ts';
import { textFile } from '../../src/files/writing/outputFile.ts';
import { expectError, inTemporaryFolder } from '../checkpoints/files.ts';
import { withModel } from './models.ts';

describe('writeResumably', () => {
  const write = (path: string) => writeResumably(path, [textFile('', () => 'text')], { job: 1 });

  it('writes through a link that leads to nothing yet', () =>
    inTemporaryFolder(async (folder) => {
      await symlink('target', join(folder, 'link'));
      await write(join(folder, 'link'));
      expect((await lstat(join(folder, 'link'))).isSymbolicLink()).to.equal(true);
      expect(await readFile(join(folder, 'target'), 'utf8')).to.equal('text');
      expect(await readdir(folder)).to.have.members(['link', 'target']);
    }));

  it('makes the folders on the way, and takes names as long as the file system does', () =>
    inTemporaryFolder(async (folder) => {
      const name = 'a'.repeat(255);
      await write(join(folder, 'new', name));
      expect(await readdir(join(folder, 'new'))).to.deep.equal([name]);
      const made = textFile('', () => expect.fail('It is made.'));
      const tooLong = () => writeResumably(join(folder, `${name}a`), [made], { job: 1 });
      await expectError(tooLong, 'its name is too long');
    }));
});

describe('convertCheckpoint', () => {
  it('does not advise to remove its input', () =>
    withModel('float32', async (model, path) => {
      await symlink(model, path('link'));
      await expectError(
        () => convertCheckpoint(model, path('link'), { to: 'tfjs' }),
        'already exists: it is the input. Choose another place.',
      );
    }));
});
