/** The arguments of `svd convert`; what it writes is tested with the converter. */
import { writeFile } from 'node:fs/promises';
import { expect } from 'chai';
import { svd, workFolder } from './runs.ts';

describe('svd convert', () => {
  it('refuses wrong usage with exit code 2, and what it cannot convert with exit code 1', async () => {
    const folder = await workFolder();
    const input = folder.path('in.safetensors');
    await writeFile(input, 'text');
    const formats = ['--from', 'original', '--to', 'diffusers'];
    const cases: [code: number, args: string[], message: string][] = [
      [2, [input], 'takes an INPUT and an OUTPUT'],
      [2, [input, folder.path('out')], '--to is required'],
      [2, [input, folder.path('out'), '--to', 'tfjs', '--shard-size', '5 apples'], '--shard-size has to be a number of bytes'],
      [2, [input, folder.path('out'), '--from', 'onnx', '--to', 'diffusers'], '--from'],
      [2, [input, folder.path('out'), ...formats, '--num-frames', '0'], '--num-frames'],
      [1, [input, input, ...formats, '--num-frames', '25'], 'already something'],
      [1, [input, folder.path('out'), ...formats], 'is not a safetensors file'],
      [1, [input, folder.path('out'), ...formats, '--num-frames', '25'], input],
    ];
    for (const [i, { code, stdout, stderr }] of (await Promise.all(cases.map(([, args]) => svd('convert', ...args)))).entries()) {
      expect({ code, stdout }, stderr).to.deep.equal({ code: cases[i][0], stdout: '' });
      expect(stderr).to.match(/^svd: [^\n]*\n$/);
      expect(stderr).to.include(cases[i][2]);
    }
    await folder.remove();
  });
});
