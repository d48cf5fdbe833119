import { expect } from 'chai';
import { Overall } from '../../../src/cli/batch/overall.ts';
import { ProgressLine } from '../../../src/cli/terminal/progress.ts';

describe('the progress of several runs', () => {
  it('adds the time of those to come, by their work', () => {
    let time = 0;
    const overall = new Overall(
      ['a', 'b', 'c'],
      (run) => (run === 'c' ? 2 : 1),
      () => time,
    );
    const first = overall.begin('a');
    expect(first(undefined)).to.deep.equal({ name: 'picture 1 of 3', share: 0 });
    expect(first(1000)).to.deep.equal({ name: 'picture 1 of 3', share: 0, left: 4000 });
    time = 1000;
    expect(first(0)).to.deep.equal({ name: 'picture 1 of 3', share: 0.25, left: 3000 });
    overall.end();
    overall.end(); // of one that has not begun
    const second = overall.begin('b');
    expect(second(undefined)).to.deep.equal({ name: 'picture 2 of 3', share: 0.25, left: 3000 });
    expect(second(9000).share).to.equal(0.25); // never goes back
  });

  it('is on the line of each', () => {
    let text = '';
    let time = 0;
    const terminal = {
      isTTY: true,
      columns: 90,
      write: (written: string) => {
        text += written;
      },
    };
    const line = new ProgressLine(terminal, () => time).next((left) => ({
      ...{ name: 'picture 2 of 3', share: 0.5, left: (left ?? 0) + 60_000 },
    }));
    line.update({ stage: 'sampling', step: 0, steps: 4 });
    time = 1000;
    line.update({ stage: 'sampling', step: 1, steps: 4 });
    expect(text).to.contain('] 50 %, 1:03 left; picture 2 of 3; sampling: step 1 of 4, 1.0 s/step');
  });
});
