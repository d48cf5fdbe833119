/** `svd queue`, from adding to the report, on a real Redis. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { expect } from 'chai';
import { packagedModel } from '../../../src/checkpoints/index.ts';
import { writeSmallLora } from '../runs.ts';
import { queueForSuite, untilThere } from './runs.ts';

describe('svd queue', () => {
  const queue = queueForSuite();
  const input = () => queue.path('pictures/rocket.jpg');
  const work = async (...args: string[]) => {
    const { code, stderr } = await queue.worker('--until-done', ...args).ended;
    expect(code, stderr).to.equal(0);
    return stderr;
  };

  it('makes what svd generate makes, each once', async () => {
    const added = await queue.add([queue.path('pictures')], '--seed', '3');
    expect(added.stdout).to.equal('1 job added\n');
    const again = await queue.add([input()], '--seed', '3');
    expect(again.stdout).to.equal('0 jobs added, 1 there already\n');
    const copy = queue.path('copy.jpg');
    writeFileSync(copy, readFileSync(input()));
    const { stderr } = await queue.add([copy], '--seed', '3');
    expect(stderr).to.include(`copy.jpg is the same work as ${input()}, whose output is`);
    await work();
    expect(readFileSync(queue.path('videos/rocket.mp4'))).to.deep.equal(
      await queue.single(input(), '--seed', '3'),
    );
  });

  it('leaves a job that does not fit, or is of another checkpoint, to other workers @slow', async () => {
    await queue.add([input()], '--seed', '4', '--output-dir', queue.path('others'));
    expect(await work('--model', packagedModel)).to.match(
      /the checkpoint .*tiny of this worker is not that of the job: its hash is [0-9a-f]{12} and not/,
    );
    const start = performance.now();
    expect(await work('--memory', '0.1')).to.match(/rocket\.jpg: .*memory/i);
    expect(performance.now()).to.be.greaterThan(start);
    expect((await queue.status()).held).to.have.length(1);
    await work();
    expect(readFileSync(queue.path('others/rocket.mp4'))).to.deep.equal(
      await queue.single(input(), '--seed', '4'),
    );
  });

  it('leaves a job with LoRA to workers that have its bytes, and gives it its scale @slow', async () => {
    const lora = queue.path('a.safetensors');
    const dir = (scale: number, value: number) => queue.path(`adapted${scale}-${value}`);
    const words = (scale: number) => ['--seed', '6', '--lora', `${lora}=${scale}`];
    const add = async (scale: number, value = 0.5) =>
      (await queue.add([input()], '--output-dir', dir(scale, value), ...words(scale))).stdout;
    await writeSmallLora(lora, 0.5);
    expect(await add(0.5)).to.equal('1 job added\n');
    expect(await add(0.5)).to.equal('0 jobs added, 1 there already\n');
    rmSync(lora);
    expect(await work()).to.match(/rocket\.jpg: .*a\.safetensors/);
    await writeSmallLora(lora, 0.6);
    expect(await work()).to.match(
      /the checkpoint .*model, .*a\.safetensors of this worker is not that of the job: its hash is/,
    );
    // One worker does all of these, also when the file gets other bytes.
    const { child, ended } = queue.worker();
    for (const [scale, value] of [
      [0.5, 0.5],
      [-2, 0.5],
      [-2, 0.6],
    ] as const) {
      await writeSmallLora(lora, value);
      if (scale !== 0.5) expect(await add(scale, value)).to.equal('1 job added\n');
      const video = `${dir(scale, value)}/rocket.mp4`;
      await untilThere(video);
      expect(readFileSync(video)).to.deep.equal(await queue.single(input(), ...words(scale)));
    }
    child.kill('SIGTERM');
    await ended;
  });

  it('carries files in Redis, and exports them with a report @slow', async () => {
    mkdirSync(queue.path('mine'));
    writeFileSync(queue.path('mine/broken.png'), readFileSync(input()).subarray(0, 100));
    writeFileSync(queue.path('mine/rocket.jpg'), readFileSync(input()));
    const dir = ['--output-dir', queue.path('carried')];
    await queue.add([queue.path('mine')], '--carrier', 'redis', '--seed', '5', ...dir);
    const name = queue.path('mine/rocket.jpg');
    const single = await queue.single(name, '--seed', '5');
    rmSync(queue.path('mine'), { recursive: true }); // as on another machine
    await work();
    const to = queue.path('exported');
    const { stdout } = await queue.run('export', queue.path('r.csv'), '--output-dir', to);
    expect(stdout).to.match(/r\.csv: \d+ lines, and 1 video out of Redis\n$/);
    expect(readFileSync(`${to}/rocket.mp4`)).to.deep.equal(single);
    const lines = readFileSync(queue.path('r.csv'), 'utf8').split('\n');
    expect(lines[0]).to.match(/^picture,output,state,sha256,/);
    expect(lines.find((line) => line.includes('broken.png'))).to.include(',failed,');
    const watched = await queue.start('status', '--watch').ended;
    expect(watched).to.include({ code: 1, stderr: '' });
    expect(watched.stdout).to.match(/^\d jobs? done, 0 running, 0 waiting, 0 put back, 1 failed\n/);
    const { failed } = await queue.status();
    expect(failed[0].reason).to.include('mine/broken.png').and.not.include('.tmp');
  });
});
