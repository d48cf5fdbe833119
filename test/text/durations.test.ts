import { expect } from 'chai';
import { roughly } from '../../src/text/durations.ts';

describe('roughly', () => {
  it('says seconds, minutes or hours', () => {
    const words = [0.1, 1.4, 89, 90, 5399, 5400, 100_000].map(roughly);
    expect(words).to.deep.equal([
      ...['about 1 second', 'about 1 second', 'about 89 seconds', 'about 2 minutes'],
      ...['about 90 minutes', 'about 2 hours', 'about 28 hours'],
    ]);
  });
});
