import { expect } from 'chai';
import { whileLong } from '../../../../src/cli/generate/resume/rule.ts';

describe('whileLong', () => {
  const seconds = (...all: number[]) => all.map((one) => 1000 * one);

  it('is true every ten seconds, while more than a minute is left', () => {
    let [now, left] = seconds(0, 1000) as [number, number | undefined];
    const rule = whileLong({ timeLeft: () => left }, () => now);
    const kept: number[] = [];
    for (let second = 0; second < 1000; second += 3) {
      [now, left] = seconds(second, 100 - second);
      if (rule()) kept.push(second);
    }
    expect(kept).to.deep.equal([0, 12, 24, 36]);
    left = undefined;
    expect(rule()).to.equal(false);
  });
});
