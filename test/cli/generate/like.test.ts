import { rename, writeFile } from 'node:fs/promises';
import { expect } from 'chai';
import { likeOutput } from '../../../src/cli/generate/like.ts';
import { generateOptions } from '../../../src/cli/generate/options.ts';
import { readArguments, readValues } from '../../../src/cli/terminal/arguments.ts';
import { UsageError } from '../../../src/cli/terminal/errors.ts';
import { testBackend } from '../../setup.ts';
import { folderWithModel, generate, picture, small, svd } from '../runs.ts';

describe('svd generate --like', () => {
  const folder = folderWithModel();

  const like = (path: string, ...args: string[]) => {
    const given = readArguments(args, generateOptions);
    const values = readValues(given, generateOptions, 'generate');
    return likeOutput(path, values, given.positionals, given.has);
  };

  it('leaves an encoder where the new output has none, and says what is no output', async () => {
    const made = folder.path('encoded.mp4');
    await generate([
      ...[picture('rocket.jpg'), '--model', folder.path('model'), '--output', made],
      ...[...small.slice(0, 6), '--seed', '1', '--encoder', 'builtin'],
    ]);
    for (const output of ['a.gif', 'a/', 'a.safetensors'])
      expect((await like(made, '--output', output)).values.encoder).to.equal('auto');
    expect((await like(made, '--output', 'a.mp4', '--format', 'webp')).values.encoder).to.equal(
      'auto',
    );
    expect((await like(made, '--output', 'a.MP4')).values.encoder).to.equal('builtin');
    const refusals = { 'nowhere.mp4': 'there is no such file.', 'package.json': 'it is not an' };
    for (const [path, why] of Object.entries(refusals)) {
      const error = await like(path).catch((error: Error) => error);
      expect(error).to.be.an.instanceOf(UsageError);
      expect((error as Error).message).to.contain(`--like ${path}: ${why}`);
    }
  });

  it('takes the settings that outputs of every format store, but for what is passed @slow', async () => {
    const seeds = ['--seed', '18446744073709551615', '--seed', '-3'];
    const others = [
      '--num-videos-per-prompt',
      '2',
      '--sigmas',
      '7,1,0',
      '--scheduler',
      'dpmpp-2m-sde',
      '--guidance-together',
      'no',
      ...['--deep-cache', '2:0', '--guidance-interval', '0.5,50'],
    ];
    for (const ending of ['.mp4', '.webp', '.gif', '/', '.safetensors']) {
      const name = folder.path(`clip${ending}`);
      const model = ['--model', folder.path('model')];
      const made = await generate([
        ...[picture('rocket.jpg'), ...model, '--output', name],
        ...[...small.slice(0, 6), ...seeds, ...others],
      ]);
      const { values, images, taken, hash } = await like(
        made.output[0],
        '--fps',
        '9',
        '--seed',
        '1',
      );
      expect(images, ending).to.deep.equal([picture('rocket.jpg')]);
      expect(values).to.deep.include({
        ...{ height: 16, width: 24, numFrames: 2, numVideosPerPrompt: 2, sigmas: [7, 1, 0] },
        ...{ deepCache: { interval: 2, branch: 0 }, guidanceInterval: [0.5, 50] },
        ...{ fps: 9, seeds: [1], guidanceTogether: false, backend: testBackend, output: undefined },
      });
      expect(values.scheduler).to.equal('dpmpp-2m-sde');
      expect(taken).to.contain('--sigmas 7,1,0').and.not.contain('--seed').and.not.contain('--fps');
      expect(hash).to.equal(made.settings.checkpoint!.hash);
      expect((await like(made.output[0], 'a.png')).values.seeds).to.deep.equal([
        ...['18446744073709551615', -3],
      ]);
      expect((await like(made.output[0], 'a.png')).images).to.deep.equal(['a.png']);
      const aligned = (await like(made.output[0], '--schedule', 'ays')).values;
      expect([aligned.schedule, aligned.sigmas]).to.deep.equal(['ays', undefined]);
      for (const others of [
        ['--steps', '4'],
        ['--scheduler', 'animatelcm'],
      ])
        expect((await like(made.output[0], ...others)).values.sigmas).to.equal(undefined);
    }
  });

  it('makes the same video again, and says what it took', async () => {
    const first = folder.path('first.gif');
    const model = ['--model', folder.path('model'), '--backend', testBackend];
    const made = await svd('generate', picture('rocket.jpg'), ...model, '-o', first, ...small);
    expect(made.code).to.equal(0);
    const second = folder.path('second.gif');
    const again = await svd('generate', '--like', first, '--output', second);
    expect(again.code, again.stderr).to.equal(0);
    expect(again.stderr).to.match(
      /^note: as .*first\.gif: .*--num-inference-steps 1 .*--seed \d+/m,
    );
  });

  it('refuses what stores no settings', async () => {
    await writeFile(folder.path('none.mp4'), 'text');
    for (const name of ['none.mp4', 'missing.mp4']) {
      const error = await like(folder.path(name)).catch((reason) => reason);
      expect(error).to.be.instanceOf(UsageError);
      expect(error.message).to.contain(name);
    }
    await rename(folder.path('none.mp4'), folder.path('none.safetensors'));
    expect(await like(folder.path('none.safetensors')).catch((reason) => reason)).to.be.instanceOf(
      UsageError,
    );
  });
});
