/** The example of a custom model learns its task. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { built } from '../harness/built.ts';
import { testBackend } from '../setup.ts';

const run = promisify(execFile);

describe('the example of a custom video model @slow', () => {
  it('learns in which direction things move', async function () {
    // wasm and webgpu cannot train it, and cpu is slow
    if (testBackend !== 'tensorflow') this.skip();
    built('src/index.js'); // the program imports the package by its name
    const cwd = fileURLToPath(new URL('../..', import.meta.url));
    const program = ['--import', 'tsx', 'examples/customVideoModel.ts'];
    const { stdout } = await run(process.execPath, program, { cwd });
    const [, first, last, accuracy] = stdout.match(/loss (\S+) -> (\S+), accuracy (\S+)/)!;
    expect(Number(last)).to.be.below(Number(first) / 2);
    expect(Number(accuracy)).to.equal(1);
  });
});
