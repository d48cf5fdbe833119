import { expect } from 'chai';
import { clock, ProgressLine } from '../../../src/cli/terminal/progress.ts';

/** A progress line on a terminal of 40 columns, with a clock that is set by hand. */
function setUp() {
  const written: string[] = [];
  const time = { now: 0 };
  const line = new ProgressLine(
    { columns: 40, write: (text: string) => written.push(text) },
    () => time.now,
  );
  const at = (seconds: number, stage: string, step: number, steps: number) => {
    time.now = 1000 * seconds;
    line.update({ stage, step, steps });
    return written.at(-1);
  };
  return { line, written, at };
}

describe('ProgressLine', () => {
  it('shows stage, step, percentage and remaining time, redrawn in place', () => {
    const { at } = setUp();
    expect(at(0, 'sampling', 0, 8)).to.equal('\r\x1b[2Ksampling: step 0 of 8, 0 %');
    expect(at(10, 'sampling', 1, 8)).to.equal('\r\x1b[2Ksampling: step 1 of 8, 12 %, 1:10 left');
    expect(at(80, 'sampling', 8, 8)).to.equal('\r\x1b[2Ksampling: step 8 of 8, 100 %');
  });

  for (const [stage, done] of Object.entries({
    downloading: 'downloaded',
    comparing: 'compared',
    converting: 'converted',
  })) {
    it(`shows what is ${done} in bytes, with the remaining time`, () => {
      const { at } = setUp();
      at(0, stage, 0, 4e9);
      expect(at(10, stage, 1e9, 4e9)).to.contain(`${stage}: 1.0 of 4.0 GB, 25 %, 0:30`);
    });
  }

  it('shows what is loaded in bytes', () => {
    const { at } = setUp();
    expect(at(0, 'loading', 0, 4.56e9)).to.equal('\r\x1b[2Kloading: 0.0 of 4.6 GB, 0 %');
    expect(at(10, 'loading', 1.14e9, 4.56e9)).to.equal(
      '\r\x1b[2Kloading: 1.1 of 4.6 GB, 25 %, 0:30 left',
    );
    expect(at(11, 'loading', 150_000, 1_500_000)).to.contain('loading: 0.1 of 1.5 MB, 10 %');
    expect(at(12, 'loading', 500, 900)).to.contain('loading: 0.5 of 0.9 kB');
  });

  it('counts the time of each stage, whether or not its start is reported', () => {
    const { line, at } = setUp();
    at(0, 'loading', 0, 2);
    at(4, 'loading', 2, 2);
    at(5, 'sampling', 0, 2); // one more second of loading
    at(8, 'sampling', 2, 2);
    expect(at(9, 'decoding', 1, 4)).to.contain('0:03 left');
    expect(line.seconds()).to.deep.equal({ loading: 5, sampling: 3, decoding: 1 });
  });

  it('never fills the last column, where a terminal would break the line', () => {
    const { at } = setUp();
    expect(at(1, 'a stage with a name that is far too long', 1, 2)).to.have.length(
      '\r\x1b[2K'.length + 39,
    );
  });

  it('clears what it has drawn, and nothing else', () => {
    const { line, written, at } = setUp();
    line.clear();
    expect(written).to.deep.equal([]);
    at(0, 'sampling', 0, 8);
    line.clear();
    line.clear();
    expect(written.slice(1)).to.deep.equal(['\r\x1b[2K']);
  });

  it('draws the same line once', () => {
    const { written, at } = setUp();
    at(0, 'loading', 100, 100);
    at(1, 'loading', 100, 100);
    expect(written).to.have.length(1);
  });

  it('takes 80 columns for a terminal that does not know its width', () => {
    const written: string[] = [];
    const line = new ProgressLine({ columns: 0, write: (text: string) => written.push(text) });
    line.update({ stage: 'a'.repeat(99), step: 1, steps: 1 });
    expect(written).to.deep.equal([`\r\x1b[2K${'a'.repeat(79)}`]);
  });

  it('measures without a terminal', () => {
    let now = 0;
    const line = new ProgressLine(undefined, () => now);
    now = 1500;
    line.update({ stage: 'loading', step: 1, steps: 1 });
    line.clear();
    expect(line.seconds()).to.deep.equal({ loading: 1.5 });
  });
});

describe('clock', () => {
  it('writes seconds, minutes and hours', () => {
    expect([0, 59.4, 59.6, 3599, 3600, 36061].map(clock)).to.deep.equal([
      '0:00',
      '0:59',
      '1:00',
      '59:59',
      '1:00:00',
      '10:01:01',
    ]);
  });
});
