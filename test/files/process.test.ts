import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect } from 'chai';
import { isAlive } from '../../src/files/process.ts';

describe('isAlive', () => {
  it('knows a process that runs, and one that has ended', async () => {
    const child = spawn(process.execPath, ['--eval', 'setInterval(() => {}, 1000)']);
    await once(child, 'spawn');
    expect(isAlive(child.pid!)).to.equal(true);
    child.kill('SIGKILL');
    await once(child, 'close');
    expect(isAlive(child.pid!)).to.equal(false);
  });

  it('knows a process that has ended and that its parent has not waited for', async function () {
    if (process.platform !== 'linux') this.skip();
    // The child ends once the shell has become `sleep`, which waits for nobody.
    const child = '(until [ "$(cat /proc/$$/comm)" = sleep ]; do :; done)';
    const parent = spawn('sh', ['-c', `${child} & echo $!; exec sleep 1000`]);
    const [pid] = await once(parent.stdout, 'data');
    while (isAlive(Number(pid))) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(() => process.kill(Number(pid), 0)).not.to.throw();
    parent.kill('SIGKILL');
  });
});
