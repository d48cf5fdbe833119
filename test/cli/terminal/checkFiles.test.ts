import { mkdir, writeFile } from 'node:fs/promises';
import { expect } from 'chai';
import { generateOptions } from '../../../src/cli/generate/options.ts';
import { readArguments } from '../../../src/cli/terminal/arguments.ts';
import { checkFiles } from '../../../src/cli/terminal/checkFiles.ts';
import type { Options } from '../../../src/cli/terminal/options.ts';
import { verifyOptions } from '../../../src/cli/verify/options.ts';
import { picture, workFolder } from '../runs.ts';

describe('checkFiles', () => {
  const check = (options: Options, ...args: string[]) =>
    checkFiles(readArguments(args, options), options);
  const message = (options: Options, ...args: string[]) =>
    check(options, ...args).then(
      () => undefined,
      (error) => {
        expect(error).to.be.instanceOf(Error);
        return error.message;
      },
    );

  it('says what a file is, and what the option takes', async () => {
    const folder = await workFolder();
    const bytes = { clip: '\0\0\0\x18ftypmp42', film: 'RIFF....AVI ', page: '%PDF-1.7' };
    for (const [name, start] of Object.entries(bytes)) await writeFile(folder.path(name), start);
    await writeFile(folder.path('plain.json'), '{}');
    await mkdir(folder.path('empty'));
    const jpg = picture('rocket.jpg');
    const takes = 'takes a folder or a .safetensors file, but';
    for (const [flag, path, what] of [
      ...['--model', '--unet'].flatMap((flag) => [
        [flag, jpg, `${takes} ${jpg} is a picture.`],
        [flag, folder.path('clip'), `${takes} ${folder.path('clip')} is a picture or video.`],
        [flag, folder.path('film'), `${takes} ${folder.path('film')} is a video.`],
        [flag, folder.path('page'), `${takes} ${folder.path('page')} is a PDF document.`],
      ]),
      ['--config', jpg, `takes a folder, but ${jpg} is a picture.`],
      [
        '--cache-dir',
        folder.path('plain.json'),
        `takes a folder, but ${folder.path('plain.json')} is a file.`,
      ],
    ])
      expect(await message(generateOptions, flag, path)).to.equal(`${flag} ${what}`);
    expect(await message(verifyOptions, '--reference', jpg)).to.equal(
      `--reference takes a .safetensors file, but ${jpg} is a picture.`,
    );
    expect(await message(verifyOptions, '--reference', folder.path('empty'))).to.equal(
      `--reference takes a .safetensors file, but ${folder.path('empty')} is a folder.`,
    );
    for (const path of [
      folder.path('empty'),
      folder.path('none'),
      'org/name',
      folder.path('x.ckpt'),
    ])
      expect(await message(generateOptions, '--model', path)).to.equal(undefined);
    await folder.remove();
  });
});
