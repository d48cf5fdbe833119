import { expect } from 'chai';
import { alignYourSteps } from '../../src/schedulers/index.ts';

describe('alignYourSteps', () => {
  it('is the published schedule for 10 steps', () => {
    expect(alignYourSteps(10)).to.deep.equal([
      ...[700, 54.5, 15.886, 7.977, 4.248, 1.789, 0.981, 0.403, 0.173, 0.034, 0],
    ]);
  });

  it('has any number of steps, between which logarithms are linear', () => {
    const first = [700, 252.13, 90.811, 42.591, 26.012, 15.886];
    for (const [i, sigma] of alignYourSteps(25).slice(0, 6).entries())
      expect(sigma).to.be.closeTo(first[i]!, 2e-5 * first[i]!); // stated in five digits
    for (const steps of [1, 2, 3, 12, 25, 30, 1000]) {
      const sigmas = alignYourSteps(steps);
      expect(sigmas).to.have.length(steps + 1);
      expect([sigmas[0], sigmas[steps]]).to.deep.equal([700, 0]);
      for (let i = 0; i < steps; i++) expect(sigmas[i + 1]).to.be.below(sigmas[i]!);
    }
  });

  it('refuses other counts', () => {
    for (const steps of [0, 1.5, Number.NaN])
      expect(() => alignYourSteps(steps)).to.throw(
        `\`numInferenceSteps\` has to be a whole number of at least 1 but is ${steps}.`,
      );
  });
});
