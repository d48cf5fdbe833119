/** The example of a model of one's own: it learns what it is for. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { testBackend } from '../setup.ts';

const run = promisify(execFile);

describe('the example of a custom video model', () => {
  it('learns to tell which way things move', async function () {
    // the others have no gradients of convolutions, or are slow
    if (testBackend !== 'tensorflow') this.skip();
    const cwd = fileURLToPath(new URL('../..', import.meta.url));
    await run('npm', ['run', 'build'], { cwd }); // the program imports the built package
    const program = ['--import', 'tsx', 'examples/customVideoModel.ts'];
    const { stdout } = await run(process.execPath, program, { cwd });
    const [, first, last, accuracy] = stdout.match(/loss (\S+) -> (\S+), accuracy (\S+)/)!;
    expect(Number(last)).to.be.below(Number(first) / 2);
    expect(Number(accuracy)).to.equal(1);
  });
});
