/**
 * The checkpoint of the package, as it is meant to be used, against diffusers: at least 99.5 % of
 * 8-bit values equal, none off by more than 1.
 */
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import sharp from 'sharp';
import { loadImage } from '../../src/media/index.ts';
import { StableVideoDiffusionPipeline } from '../../src/pipelines/node.ts';
import { Generator } from '../../src/random/index.ts';
import { testBackend } from '../setup.ts';

const path = (relative: string) => fileURLToPath(new URL(`../../${relative}`, import.meta.url));
const [height, width, numFrames, numInferenceSteps] = [64, 64, 8, 20];
const EQUAL_BYTES = 0.995;

describe('the checkpoint of the package against diffusers', () => {
  // Elsewhere one seed takes minutes.
  const seeds = ['tensorflow', 'wasm'].includes(testBackend) ? 10 : 1;
  it(`makes the same frames from ${seeds} seeds`, async () => {
    const sheet = await sharp(path('test/fixtures/shipped-model.png'))
      .removeAlpha()
      .raw()
      .toBuffer();
    const pipe = await StableVideoDiffusionPipeline.fromPretrained(path('weights/tiny'), {
      backend: testBackend,
    });
    const picture = await loadImage(path('examples/pictures/toy-rocket.png'));
    const shares: number[] = [];
    for (let seed = 0; seed < seeds; seed++) {
      const { frames } = await pipe.generate(picture, {
        height,
        width,
        numFrames,
        numInferenceSteps,
        generator: new Generator(seed),
      });
      let [equal, largest] = [0, 0];
      for (const [f, { data }] of frames[0].entries()) {
        for (const [i, value] of data.entries()) {
          const [y, x] = [Math.floor(i / (3 * width)), i % (3 * width)];
          const difference = Math.abs(
            value - sheet[((seed * height + y) * numFrames + f) * 3 * width + x],
          );
          if (difference === 0) equal++;
          largest = Math.max(largest, difference);
        }
      }
      expect(largest, `largest difference of 8-bit values from seed ${seed}`).to.be.at.most(1);
      shares.push(equal / (numFrames * height * width * 3));
    }
    pipe.dispose();
    console.log(
      `      8-bit values that differ: up to ${(100 * (1 - Math.min(...shares))).toFixed(3)} %`,
    );
    expect(Math.min(...shares), 'share of equal 8-bit values').to.be.at.least(EQUAL_BYTES);
  });
});
