/** What goes wrong while machines work on a queue, with real processes and a real Redis. */
import { readdirSync, readFileSync } from 'node:fs';
import { expect } from 'chai';
import { isAlive } from '../../../src/files/process.ts';
import { until } from '../../harness/until.ts';
import { childOf, queueForSuite, untilThere } from './runs.ts';

/** Enough steps to be stopped in the middle of them. */
const LONG = ['--num-inference-steps', '40', '--seed', '5'];

describe('svd queue, when something fails @slow', () => {
  const queue = queueForSuite();
  const input = () => queue.path('pictures/rocket.jpg');
  const video = (folder: string) => queue.path(`${folder}/rocket.mp4`);
  const addLong = (folder: string, ...args: string[]) =>
    queue.add([input()], '--output-dir', queue.path(folder), ...LONG, ...args);
  const single = (...args: string[]) => queue.single(input(), ...args);

  afterEach(async () => {
    const { counts } = await queue.status();
    const { completed, failed, ...left } = counts;
    expect(left, 'jobs that are left').to.deep.equal({ waiting: 0, delayed: 0, active: 0 });
  });

  it('gives a job back at SIGTERM, which goes on elsewhere from its step', async () => {
    await addLong('terminated');
    const first = queue.worker();
    await untilThere(`${video('terminated')}.resume.safetensors`);
    first.child.kill('SIGTERM');
    const { code, stderr } = await first.ended;
    expect(code, stderr).to.equal(0);
    const { counts } = await queue.status();
    expect(counts).to.include({ waiting: 1, active: 0, delayed: 0, failed: 0 });
    const second = await queue.worker('--until-done').ended;
    expect(second.stderr).to.match(/goes on after step \d+/);
    expect(readFileSync(video('terminated'))).to.deep.equal(await single(...LONG));
    expect(readdirSync(queue.path('terminated'))).to.have.members(['rocket.mp4']);
  });

  it('takes a job over from a worker that was killed, and leaves no process', async () => {
    await addLong('killed', '--fps', '8');
    const first = queue.worker();
    await untilThere(`${video('killed')}.resume.safetensors`);
    const computing = childOf(first.child.pid!);
    first.child.kill('SIGKILL');
    await until(() => !isAlive(computing), 'the end of the process that computes');
    const second = await queue.worker('--until-done').ended;
    expect(second.stderr).to.match(/goes on after step \d+/);
    expect(readFileSync(video('killed'))).to.deep.equal(await single(...LONG, '--fps', '8'));
  });
});
