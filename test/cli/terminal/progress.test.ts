import { expect } from 'chai';
import { clock, ProgressLine } from '../../../src/cli/terminal/progress.ts';

/** A progress line on a stream, with a clock that is set by hand. */
function setUp({ isTTY = true, columns = 80 } = {}) {
  const written: string[] = [];
  const time = { now: 0 };
  const line = new ProgressLine(
    { isTTY, columns, write: (text: string) => written.push(text) },
    () => time.now,
  );
  const at = (seconds: number, stage: string, step: number, steps: number) => {
    time.now = 1000 * seconds;
    line.update({ stage, step, steps });
    return written.at(-1);
  };
  const advance = (seconds: number, work: number) => {
    time.now = 1000 * seconds;
    line.advance(work);
    return written.at(-1);
  };
  return { line, written, at, advance };
}

describe('ProgressLine', () => {
  it('shows a bar, the share, the remaining time, stage, step and speed, redrawn in place', () => {
    const { line, at } = setUp();
    line.label = 'wasm';
    expect(at(0, 'sampling', 0, 8)).to.equal(
      '\r\x1b[2K[----------] 0 %; sampling: step 0 of 8; wasm',
    );
    expect(at(10, 'sampling', 1, 8)).to.equal(
      '\r\x1b[2K[#---------] 12 %, 1:10 left; sampling: step 1 of 8, 10 s/step; wasm',
    );
    expect(at(80, 'sampling', 8, 8)).to.equal(
      '\r\x1b[2K[##########] 100 %; sampling: step 8 of 8, 10 s/step; wasm',
    );
  });

  it('knows what an earlier run has done, and tells the time that is left', () => {
    const { line, at, advance } = setUp();
    line.expect({ work: { encoding: 10, sampling: 80, decoding: 20 } });
    expect(line.timeLeft()).to.equal(undefined);
    line.skip('sampling', 6);
    at(0, 'encoding', 0, 1);
    advance(10, 10);
    expect(at(10, 'sampling', 6, 8)).to.contain('0:40 left; sampling: step 6 of 8');
    expect(line.timeLeft()).to.equal(40_000);
    expect(at(20, 'sampling', 7, 8)).to.contain('0:30 left; sampling: step 7 of 8, 10 s/step');
    expect(line.timeLeft()).to.equal(30_000);
    expect(line.seconds()).to.deep.equal({ encoding: 10, sampling: 10 });
  });

  for (const stage of ['downloading', 'comparing', 'converting', 'loading']) {
    it(`shows what is done in bytes while ${stage}`, () => {
      const { at } = setUp();
      at(0, stage, 0, 4.56e9);
      expect(at(10, stage, 1.14e9, 4.56e9)).to.contain(`25 %, 0:30 left; ${stage}: 1.1 of 4.6 GB`);
      expect(at(11, stage, 150_000, 1_500_000)).to.contain(`${stage}: 0.1 of 1.5 MB`);
    });
  }

  it('counts the time that is left over all stages, and within a step', () => {
    const { line, at, advance } = setUp();
    line.expect({ work: { encoding: 10, sampling: 80, decoding: 10 }, secondsPerUnit: 0.5 });
    expect(at(0, 'loading', 0, 100)).to.contain('[----------] 0 %; loading');
    expect(at(5, 'loading', 50, 100), '5 s of loading, 50 s of the others').to.contain('0:55 left');
    at(10, 'loading', 100, 100);
    at(10, 'encoding', 1, 4);
    expect(advance(12, 5), '2 s for the rest, 36 s at this speed').to.contain('0:38 left');
    at(14, 'sampling', 0, 8);
    expect(advance(19, 5), '75 units at a second, 10 at 9 s for 15').to.match(/, 1:2\d left/);
    expect(advance(24, 5)).to.match(/, 1:1\d left; sampling: step 0 of 8/);
    at(24, 'sampling', 1, 8);
    expect(at(94, 'sampling', 8, 8)).to.contain('0:09 left');
    expect(at(96, 'decoding', 1, 4)).to.contain('0:06 left; decoding: step 1 of 4');
  });

  it('never goes back: not from the whole of a stage, nor where a run takes longer', () => {
    const { line, written, at, advance } = setUp();
    const percent = () => Number(/(\d+) %/.exec(written.at(-1)!)![1]);
    line.expect({ work: {} });
    expect(at(0, 'downloading', 0, 100)).to.contain('[----------] 0 %; downloading');
    expect(at(30, 'downloading', 75, 100)).to.contain('0:10 left of it');
    at(40, 'loading', 78, 100);
    expect(percent()).to.equal(0);
    line.expect({ work: { encoding: 10, sampling: 80, decoding: 10 } });
    expect(at(41, 'loading', 80, 100)).to.contain('0 %; loading');
    let before = 0;
    for (const [seconds, work] of [
      [50, 5],
      [52, 5],
      [53, 40],
      [253, 1],
      [353, 1],
    ] as const) {
      if (work === 40) at(seconds, 'sampling', 0, 8);
      else if (seconds === 50) at(42, 'encoding', 0, 1);
      advance(seconds, work);
      expect(percent()).to.be.at.least(before);
      before = percent();
    }
    expect(before).to.be.above(50);
  });

  it('redraws no more than ten times a second', () => {
    const { written, at } = setUp();
    for (let i = 0; i < 80; i++) at(i / 240, 'loading', i, 80);
    expect(written).to.have.length.within(2, 4);
  });

  it('writes a line for each tenth, or after half a minute, where there is no terminal', () => {
    const { written, at } = setUp({ isTTY: false });
    for (let i = 0; i <= 100; i++) at(i, 'sampling', i, 100);
    expect(written).to.have.length(11);
    expect(written[0]).to.equal('progress: 1 %, 1:39 left; sampling: step 1 of 100, 1.0 s/step\n');
    expect(written[1]).to.match(/^progress: 10 %, /);
    const slow = setUp({ isTTY: false });
    for (let i = 0; i < 100; i++) slow.at(10 * i, 'sampling', i, 10_000);
    expect(slow.written).to.have.length.within(30, 40);
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
    const { at } = setUp({ columns: 40 });
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

  it('only measures without a stream', () => {
    const time = { now: 0 };
    const line = new ProgressLine(undefined, () => time.now);
    time.now = 1500;
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
