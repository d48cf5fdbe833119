import { expect } from 'chai';
import { didYouMean, editDistance, nearest } from '../../src/text/nearest.ts';

describe('editDistance', () => {
  it('counts inserted, deleted, replaced and swapped letters', () => {
    expect(editDistance('fps', 'fps')).to.equal(0);
    expect(editDistance('', 'seed')).to.equal(4);
    expect(editDistance('kitten', 'sitting')).to.equal(3);
    expect(editDistance('hieght', 'height')).to.equal(1);
  });
});

describe('nearest', () => {
  const names = ['height', 'width', 'seed', 'num-frames'];

  it('finds the most alike name', () => {
    expect(nearest('widht', names)).to.equal('width');
    expect(nearest('num', names)).to.equal('num-frames');
    expect(nearest('SEED', names)).to.equal('seed');
    expect(nearest('Num', names)).to.equal('num-frames');
  });

  it('finds nothing when no name is alike', () => {
    expect(nearest('temperature', names)).to.equal(undefined);
    expect(nearest('x', [])).to.equal(undefined);
    expect(didYouMean('temperature', names)).to.equal('');
  });

  it('writes the suggestion as asked', () => {
    expect(didYouMean('sed', names, (name) => `--${name}`)).to.equal(' Did you mean --seed?');
  });
});
