/** The message where a TensorFlow for graphics cards finds none. */
import { expect } from 'chai';
import { hasDriver, whyNoCard } from '../../../src/backends/tensorflow/card.ts';

describe('whyNoCard', () => {
  let before: string | undefined;

  beforeEach(() => {
    before = process.env.CUDA_VISIBLE_DEVICES;
  });
  afterEach(() => {
    if (before === undefined) delete process.env.CUDA_VISIBLE_DEVICES;
    else process.env.CUDA_VISIBLE_DEVICES = before;
  });

  for (const hidden of ['', '-1']) {
    it(`names the variable that hides cards, "${hidden}"`, () => {
      process.env.CUDA_VISIBLE_DEVICES = hidden;
      expect(whyNoCard()).to.equal(
        `It computes on the processor, because CUDA_VISIBLE_DEVICES is "${hidden}", which ` +
          'hides every card.',
      );
    });
  }

  it('names the missing driver', function () {
    if (hasDriver()) this.skip();
    process.env.CUDA_VISIBLE_DEVICES = '0';
    expect(whyNoCard()).to.equal(
      'It computes on the processor, because no NVIDIA driver is loaded.',
    );
  });
});
