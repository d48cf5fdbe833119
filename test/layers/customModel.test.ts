/** The example of a custom model learns its task. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { testBackend } from '../setup.ts';

const run = promisify(execFile);

describe('the example of a custom video model', () => {
  it('learns in which direction things move', async function () {
    // wasm and webgpu cannot train it, and cpu is slow
    if (testBackend !== 'tensorflow') this.skip();
    this.timeout(300_000); // builds the package, which the program imports
    const cwd = fileURLToPath(new URL('../..', import.meta.url));
    await run('npm', ['run', 'build'], { cwd });
    const program = ['--import', 'tsx', 'examples/customVideoModel.ts'];
    const { stdout } = await run(process.execPath, program, { cwd });
    const [, first, last, accuracy] = stdout.match(/loss (\S+) -> (\S+), accuracy (\S+)/)!;
    expect(Number(last)).to.be.below(Number(first) / 2);
    expect(Number(accuracy)).to.equal(1);
  });
});
