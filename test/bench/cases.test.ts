/** The benchmark's cases fit the published model, and its figures are computed correctly. */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { cases } from '../../bench/cases.ts';
import { median, relativeL2 } from '../../bench/numbers.ts';
import { markdown } from '../../bench/table.ts';

const path = (name: string) => fileURLToPath(new URL(`../../${name}`, import.meta.url));
const keys = readFileSync(path('test/fixtures/svd-state-dict-shapes.tsv'), 'utf8')
  .split('\n')
  .map((line) => line.split('\t'))
  .filter(([component]) => component === 'unet');

describe('benchmark', () => {
  for (const [name, { work }] of Object.entries(cases)) {
    if (!('prefix' in work)) continue;
    it(`finds the layer of ${name} in the published UNet, with its channels`, () => {
      expect(work.prefix).to.match(/\.$/);
      const widths = keys
        .filter(([, key]) => key.startsWith(work.prefix) && key.endsWith('weight'))
        .map(([, , shape]) => shape.split('x')[0]);
      expect(widths).to.include(`${work.channels}`);
      expect(work.channels % work.heads).to.equal(0);
    });
  }

  it('has cases whose files exist or are made by it', () => {
    for (const { work } of Object.values(cases)) {
      const made = work.checkpoint.startsWith('bench/checkpoints/');
      expect(made || existsSync(path(work.checkpoint)), work.checkpoint).to.equal(true);
      if ('picture' in work) expect(existsSync(path(work.picture)), work.picture).to.equal(true);
    }
  });

  it('takes the middle of an odd number of rounds, or the mean of the two middle ones', () => {
    expect(median([5, 1, 3])).to.equal(3);
    expect(median([4, 1, 2, 10])).to.equal(3);
  });

  it('measures the distance of two results, and refuses results of different sizes', () => {
    expect(relativeL2(Float32Array.of(3, 4), Float32Array.of(3, 4))).to.equal(0);
    expect(relativeL2(Float32Array.of(3, 9), Float32Array.of(3, 4))).to.equal(1);
    expect(relativeL2(Float32Array.of(Number.NaN, 4), Float32Array.of(3, 4))).to.be.NaN;
    expect(() => relativeL2(Float32Array.of(1), Float32Array.of(3, 4))).to.throw(
      'the results have 1 and 2 values',
    );
  });

  it('aligns tables', () => {
    expect(markdown(['case', 's'], [['a', '10.5']]).split('\n')).to.deep.equal([
      '| case |    s |',
      '| ---- | ---: |',
      '| a    | 10.5 |',
    ]);
  });
});
