/** `svd queue`, from adding to the report, on a real Redis. */
import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { queueForSuite } from './runs.ts';

describe('svd queue', () => {
  const queue = queueForSuite();

  it('makes what svd generate makes, each once', async () => {
    const input = queue.path('pictures/rocket.jpg');
    const added = await queue.add([queue.path('pictures')], '--seed', '3');
    expect(added.stdout).to.equal('1 job added\n');
    const again = await queue.add([input], '--seed', '3');
    expect(again.stdout).to.equal('0 jobs added, 1 there already\n');
    const { ended } = queue.worker('--until-done');
    const { code, stderr } = await ended;
    expect(code, stderr).to.equal(0);
    expect(readFileSync(queue.path('videos/rocket.mp4'))).to.deep.equal(
      await queue.single(input, '--seed', '3'),
    );
  });
});
