import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { checkSpace } from '../../../src/cli/generate/checkSpace.ts';
import { readGenerateCommand } from './readCommand.ts';

describe('checkSpace', () => {
  const path = (name: string) => join(tmpdir(), name);
  const message = (frames: number, ...args: string[]) => {
    const command = readGenerateCommand(['a.png', ...args]);
    return checkSpace(command, [command.output], { frames, height: 8192, width: 8192 }).then(
      () => '',
      (error: Error) => error.message,
    );
  };

  it('refuses what no disk has room for', async () => {
    const refusal =
      /^The output needs .* in .*, where .* are free\. Free space there or choose another place\.$/;
    for (const name of ['a.mp4', 'a.safetensors', 'a/'])
      expect(await message(1e12, '--output', path(name)), name).to.match(refusal);
    const latent = ['--output', path('a.safetensors'), '--output-type', 'latent'];
    expect(await message(1e12, ...latent)).to.match(refusal);
    const dump = ['--output', path('a.gif'), '--dump', path('b.safetensors')];
    expect(await message(1e9, ...dump)).to.match(refusal);
    expect(await message(1e12, '--output', '-')).to.match(refusal);
  });

  it('refuses nothing else', async () => {
    expect(await message(1, '--output', path('a.mp4'))).to.equal('');
  });
});
