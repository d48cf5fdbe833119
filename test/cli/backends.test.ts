/** `svd backends` says what half precision gains on the processor. */
import { expect } from 'chai';
import { backends } from '../../src/cli/backends.ts';
import { patience } from '../harness/patience.ts';
import { testBackend } from '../setup.ts';

describe('svd backends', function () {
  this.timeout(patience);

  it('says what bfloat16 and float16 gain where tensorflow computes on the processor', async () => {
    const printed: string[] = [];
    const { write } = process.stdout;
    process.stdout.write = ((text: string) => printed.push(text) > 0) as typeof write;
    try {
      expect(await backends.run({ json: true }, [], () => false)).to.equal(0);
    } finally {
      process.stdout.write = write;
    }
    const [{ name, halfPrecision }] = JSON.parse(printed.join(''));
    expect(name).to.equal('tensorflow');
    if (testBackend !== 'tensorflow') return;
    expect(halfPrecision).to.have.length(2);
    for (const finding of halfPrecision) expect(finding).to.match(/^[A-Z].*\d.*\.$/);
  });
});
