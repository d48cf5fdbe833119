import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { expect } from 'chai';
import sharp from 'sharp';
import { generateOptions } from '../../../../src/cli/generate/options.ts';
import {
  blocks,
  kitty,
  Preview,
  protocolOf,
  resized,
  sixel,
} from '../../../../src/cli/generate/watch/preview.ts';
import { joinValues } from '../../../../src/cli/terminal/arguments.ts';
import { generate, picture, small, workFolder, writeSmallCheckpoint } from '../../runs.ts';

const red = [255, 0, 0];
const blue = [0, 0, 255];
const image = { data: Uint8Array.from([...red, ...blue, ...blue, ...red]), width: 2, height: 2 };

describe('svd generate --preview', () => {
  it('takes a .png file, or else the terminal', () => {
    const read = (...args: string[]) => joinValues(args, generateOptions);
    expect(read('--preview', 'a.jpg')).to.deep.equal(['--preview=terminal', 'a.jpg']);
    expect(read('--preview')).to.deep.equal(['--preview=terminal']);
    expect(read('--preview', 'p.png', 'a.jpg')).to.deep.equal(['--preview=p.png', 'a.jpg']);
  });

  it('knows what terminals show', () => {
    expect(protocolOf({ TERM: 'xterm-256color' })).to.equal('blocks');
    expect(protocolOf({ TERM: 'xterm-kitty' })).to.equal('kitty');
    expect(protocolOf({ TERM_PROGRAM: 'WezTerm' })).to.equal('kitty');
    expect(protocolOf({ TERM: 'foot' })).to.equal('sixel');
  });

  it('draws pixels as half blocks, as PNG for kitty, and as sixels', () => {
    expect(blocks(image)).to.equal(
      '\x1b[38;2;255;0;0m\x1b[48;2;0;0;255m▀\x1b[38;2;0;0;255m\x1b[48;2;255;0;0m▀\x1b[0m\n',
    );
    expect(kitty(new Uint8Array(4000), 8, 4).split('\x1b\\')).to.have.length(3);
    expect(sixel(image)).to.equal('\x1bPq"1;1;2;2#180;2;100;0;0#5;2;0;0;100#180@A$#5A@\x1b\\');
    expect([...resized(image, 0.5).data]).to.deep.equal(red);
  });

  it('draws in place', async () => {
    const written: string[] = [];
    const preview = new Preview({ columns: 80, write: (text) => written.push(text) }, 'blocks');
    await preview.show(image);
    await preview.show(image);
    expect(written[0].split('\n')).to.have.length(19);
    expect(written[1].startsWith('\x1b[18A\r')).to.equal(true);
  });

  it('writes a file, and never over what it has not written', async () => {
    const folder = await workFolder();
    try {
      await writeSmallCheckpoint(folder.path('model'));
      const file = folder.path('preview.png');
      const args = [picture('rocket.jpg'), '--model', folder.path('model'), ...small];
      const run = (path: string) => {
        const words = [...args, '-o', folder.path('clip.gif'), '--preview', path, '--seed', '1'];
        return generate(words);
      };
      await run(file);
      expect(await sharp(file).metadata()).to.include({ width: 24, height: 16 });
      await run(file);
      await writeFile(folder.path('own.png'), 'mine');
      const error = await run(folder.path('own.png')).catch((reason) => reason);
      expect(error.message).to.contain('would replace a file that this program has not written');
      expect(existsSync(folder.path('clip.gif'))).to.equal(true);
    } finally {
      await folder.remove();
    }
  });
});
