/** What `svd convert` takes and prints; what it writes is tested with the converter. */
import { readFile, writeFile } from 'node:fs/promises';
import { expect } from 'chai';
import { identifyCheckpoint } from '../../src/checkpoints/index.ts';
import { svd, workFolder, writeSmallCheckpoint } from '../cli/runs.ts';

describe('svd convert', () => {
  it('names what it has written, and prints how far quantised weights are from the exact ones @slow', async () => {
    const folder = await workFolder();
    const [model, quantised, original, back] = [
      'model',
      'quantised',
      'small.safetensors',
      'back',
    ].map(folder.path);
    await writeSmallCheckpoint(model);
    const text = await svd('convert', model, quantised, '--to', 'tfjs', '--quantize', 'uint8');
    expect({ code: text.code, stderr: text.stderr }).to.deep.equal({ code: 0, stderr: '' });
    const error = ': relative error \\d\\.\\de-\\d, largest \\d\\.\\de-\\d in [\\w.]+\\n';
    expect(text.stdout).to.match(
      new RegExp(`^${quantised}\\nimage_encoder${error}unet${error}vae${error}$`),
    );

    const json = JSON.parse(
      (await svd('convert', model, original, '--to', 'original', '--json')).stdout,
    );
    expect(json).to.deep.equal({
      output: original,
      source: await identifyCheckpoint(model),
      errors: {},
    });
    const done = await svd(
      'convert',
      original,
      back,
      '--from',
      'original',
      '--to',
      'diffusers',
      '--config',
      model,
    );
    expect(done).to.deep.equal({ code: 0, stdout: `${back}\n`, stderr: '' });
    const index = JSON.parse(await readFile(`${back}/model_index.json`, 'utf8'));
    expect(index._converted_from).to.deep.equal(
      await identifyCheckpoint(original, { config: model }),
    );
    await folder.remove();
  });

  it('refuses wrong usage with exit code 2, and what it cannot convert with exit code 1', async () => {
    const folder = await workFolder();
    const input = folder.path('in.safetensors');
    await writeFile(input, 'text');
    const formats = ['--from', 'original', '--to', 'diffusers'];
    const cases: [code: number, args: string[], message: string][] = [
      [2, [input], 'takes an INPUT and an OUTPUT'],
      [2, [input, folder.path('out')], '--to diffusers|original|tfjs is required'],
      [
        2,
        [input, folder.path('out'), '--to', 'tfjs', '--shard-size', '5 apples'],
        '--shard-size has to be a number of bytes',
      ],
      [2, [input, folder.path('out'), '--from', 'onnx', '--to', 'diffusers'], '--from'],
      [2, [input, folder.path('out'), ...formats, '--num-frames', '0'], '--num-frames'],
      [1, [input, input, ...formats, '--num-frames', '25'], 'already exists'],
      [
        1,
        [input, folder.path('out'), ...formats],
        'is a text that begins with "text", not weights',
      ],
      [1, [input, folder.path('out'), ...formats, '--num-frames', '25'], input],
      [1, ['weights/tiny', folder.path('out'), '--to', 'original'], 'is one file: use '],
      [1, ['weights/tiny', folder.path('out/'), '--to', 'original'], 'out.safetensors.'],
      [
        1,
        ['weights/tiny', folder.path('out.safetensors'), '--to', 'tfjs'],
        'Leave out .safetensors.',
      ],
    ];
    for (const [i, { code, stdout, stderr }] of (
      await Promise.all(cases.map(([, args]) => svd('convert', ...args)))
    ).entries()) {
      expect({ code, stdout }, stderr).to.deep.equal({ code: cases[i][0], stdout: '' });
      expect(stderr).to.match(/^error: [^\n]*\n$/);
      expect(stderr).to.include(cases[i][2]);
    }
    await folder.remove();
  });
});
