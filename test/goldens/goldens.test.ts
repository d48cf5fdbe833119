/**
 * Every number of svd-goldens.json. The modules beside this file compare them, and this one checks
 * that none is left out.
 */
import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { uncompared } from '../harness/goldens.ts';
import './models.ts';
import './numbers.ts';
import { smallOnly } from './configs.ts';

if (!smallOnly) await import('./pipelines.ts');

/** Parts of the file that tests in other folders compare. */
const elsewhere: Record<string, string> = {
  'scheduler / svd': '../schedulers/svdGoldens.test.ts',
  'scheduler / loops_10_steps': '../schedulers/svdGoldens.test.ts',
  'scheduler / svd_25_step_constant_v': '../schedulers/svdGoldens.test.ts',
  'scheduler / errors': '../schedulers/errors.test.ts',
  pil_lanczos: '../media/resample.test.ts',
};

describe('svd-goldens.json', () => {
  // Holds only for a run of the whole file: a filter leaves out comparisons.
  it('has no number that is not compared @slow', () => {
    const here = uncompared().filter((leaf) => !leaf.startsWith('rule /'));
    const left = here.filter(
      (leaf) => !Object.keys(elsewhere).some((part) => leaf.startsWith(`${part} /`)),
    );
    // Only other backends run the large models and the sampling calls.
    const large = (leaf: string) => smallOnly && /^(models|pipeline_pil) \//.test(leaf);
    expect(left.filter((leaf) => !large(leaf))).to.deep.equal([]);
  });

  for (const [part, file] of Object.entries(elsewhere)) {
    it(`has "${part}" compared in ${file.replace('../', 'test/')}`, () => {
      const source = readFileSync(new URL(file, import.meta.url), 'utf8');
      expect(source).to.include('svd-goldens.json').and.include(part.split(' / ').at(-1)!);
    });
  }
});
