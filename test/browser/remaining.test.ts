import { expect } from 'chai';
import { expectedCosts, RemainingTime, timeLeft } from '../../examples/browser/remaining.ts';

describe('RemainingTime', () => {
  const costs = { encoding: 10, sampling: 80, decoding: 10 };

  it('tells the part that is done and the seconds left, over all stages', () => {
    const remaining = new RemainingTime(costs);
    const at = (
      stage: 'encoding' | 'sampling' | 'decoding',
      step: number,
      steps: number,
      ms: number,
    ) => remaining.update({ stage, step, steps }, ms);
    expect(at('encoding', 0, 2, 0)).to.deep.equal({ done: 0 });
    expect(at('encoding', 2, 2, 5000)).to.deep.equal({ done: 0.1 });
    expect(at('sampling', 0, 4, 6000)).to.deep.equal({ done: 0.1 });
    // 20 units take 2 s: 60 of sampling and 10 of decoding are left
    expect(at('sampling', 1, 4, 8000)).to.deep.equal({ done: 0.3, seconds: 7 });
    expect(at('sampling', 4, 4, 14000)).to.deep.equal({ done: 0.9, seconds: 1 });
    expect(at('decoding', 0, 8, 14000)).to.deep.equal({ done: 0.9, seconds: 1 });
    // decoding is slower than expected
    expect(at('decoding', 4, 8, 18000).seconds).to.equal(4);
    expect(at('decoding', 8, 8, 22000)).to.deep.equal({ done: 1, seconds: 0 });
  });

  it('expects twice the sampling with guidance', () => {
    const call = { numFrames: 8, numInferenceSteps: 10 };
    const [guided, single] = [3, 1].map((maxGuidanceScale) =>
      expectedCosts({ ...call, maxGuidanceScale }),
    );
    expect(guided!.sampling).to.equal(2 * single!.sampling);
    expect(guided!.decoding).to.equal(single!.decoding);
  });
});

describe('timeLeft', () => {
  it('is as exact as it can be', () => {
    const cases = [
      [-1, 'about 1 s left'],
      [12.4, 'about 12 s left'],
      [47, 'about 45 s left'],
      [150, 'about 3 min left'],
      [3600, 'about 60 min left'],
      [9000, 'about 2.5 h left'],
    ] as const;
    for (const [seconds, text] of cases) expect(timeLeft(seconds)).to.equal(text);
  });
});
