import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { withLock } from '../../src/files/lock.ts';

describe('withLock', () => {
  let folder: string;
  let path: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'svd-lock-'));
    path = join(folder, 'a', 'work.lock');
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const busy = (pid: number) => `busy: ${pid}`;
  const run = (work: () => Promise<string>) => withLock(path, busy, work).catch(String);

  it('lets one in at a time, and goes with its work', async () => {
    let end = () => {};
    const first = run(() => new Promise<string>((done) => (end = () => done('first'))));
    while (!existsSync(path)) await new Promise((done) => setTimeout(done, 5));
    expect(await run(async () => 'second')).to.equal(`Error: busy: ${process.pid}`);
    end();
    expect(await first).to.equal('first');
    expect(await run(async () => 'third')).to.equal('third');
    expect(
      await run(() => {
        throw new Error('failed');
      }),
    ).to.equal('Error: failed');
    expect(readdirSync(join(folder, 'a'))).to.deep.equal([]);
  });

  it('takes over from a process that has ended, but not from another machine', async () => {
    await run(async () => '');
    writeFileSync(path, `999999999 ${hostname()}`);
    expect(await run(async () => 'mine')).to.equal('mine');
    writeFileSync(path, '999999999 elsewhere');
    expect(await run(async () => 'mine')).to.equal('Error: busy: 999999999');
  });
});
