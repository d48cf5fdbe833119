import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { hostPictures, stretchWarning } from '../../../src/pipelines/sampling/pictures.ts';
import type { FloatArray } from '../../../src/pipelines/types.ts';

async function valuesOf(values: number[]): Promise<number[]> {
  const image = tf.tensor(values, [1, 1, values.length / 3, 3]);
  try {
    return [...((await hostPictures(image)) as FloatArray).data];
  } finally {
    image.dispose();
  }
}

describe('the values of a tensor of pictures', () => {
  it('are taken from 0 to 1, and cut off where rounding leaves that range', async () => {
    expect(await valuesOf([0, 0.5, 1])).to.deep.equal([0, 0.5, 1]);
    expect(await valuesOf([-1e-4, 0.5, 1.0004])).to.deep.equal([0, 0.5, 1]);
  });

  for (const [values, message] of [
    [[0, 128, 255], 'from 0 to 255: divide by 255.'],
    [[3, 3, 4], 'from 3 to 4: divide by 255.'],
    [[-1, 0, 1], 'from -1 to 1: add 1 and divide by 2.'],
    [[0, 0.5, 1.5], 'from 0 to 1.5: scale them to that range.'],
    [[0, 1000, 65535], 'from 0 to 65535: scale them to that range.'],
    [[-3, 0, 2], 'from -3 to 2: scale them to that range.'],
  ] as const) {
    it(`are refused from ${values[0]} to ${values[2]}`, async () => {
      const error = await valuesOf([...values]).catch((thrown) => thrown);
      expect(error.message).to.equal(
        `The values of the tensor \`image\` have to be from 0 to 1 but are ${message}`,
      );
    });
  }
});

describe('stretchWarning', () => {
  const video = { height: 576, width: 1024 };
  const picture = (width: number, height: number) => ({
    ...{ width, height },
    data: new Uint8Array(),
  });

  it('says nothing of the same proportions, or nearly', () => {
    expect(stretchWarning(picture(1920, 1080), video)).to.equal(undefined);
    expect(stretchWarning(picture(1000, 580), video)).to.equal(undefined);
  });

  it('names the size that keeps those of a portrait', () => {
    expect(stretchWarning(picture(1080, 1920), video)).to.equal(
      "A picture of 1080x1920 pixels is stretched to the video's 1024x576. `width` 576 and " +
        '`height` 1024 keep its proportions (`--width 576 --height 1024`).',
    );
  });

  it('keeps those of a small video as near as multiples of 8 can', () => {
    expect(stretchWarning(picture(600, 400), { height: 64, width: 64 })).to.contain(
      '--width 72 --height 48',
    );
  });

  it('finds it for any proportions, in multiples of 8', () => {
    for (const [width, height] of [
      [800, 600],
      [333, 500],
      [3000, 200],
      [7, 1000],
    ] as const) {
      const warning = stretchWarning([picture(16, 9), picture(width, height)], video)!;
      const [, w, h] = /--width (\d+) --height (\d+)/.exec(warning)!.map(Number);
      expect([w! % 8, h! % 8]).to.deep.equal([0, 0]);
      expect(stretchWarning(picture(width, height), { width: w!, height: h! })).to.equal(undefined);
    }
  });

  it('looks at tensors, too', () => {
    const image = tf.zeros([1, 20, 10, 3]);
    expect(stretchWarning(image, video)).to.include('10x20');
    image.dispose();
  });
});
