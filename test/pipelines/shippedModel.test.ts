/**
 * The checkpoint of the package, as it is meant to be used, against diffusers: at least 99.5 % of
 * 8-bit values equal, none off by more than 1.
 */
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import sharp from 'sharp';
import { loadImage, type RgbImage } from '../../src/media/index.ts';
import { StableVideoDiffusionPipeline } from '../../src/pipelines/node.ts';
import { Generator } from '../../src/random/index.ts';
import { testBackend } from '../setup.ts';

const path = (relative: string) => fileURLToPath(new URL(`../../${relative}`, import.meta.url));
const [height, width, numFrames, numInferenceSteps] = [64, 64, 8, 20];
const EQUAL_BYTES = 0.995;

describe('the checkpoint of the package against diffusers', () => {
  let pipe: StableVideoDiffusionPipeline;
  let sheet: Buffer;
  let picture: RgbImage;
  before(async () => {
    sheet = await sharp(path('test/fixtures/shipped-model.png')).removeAlpha().raw().toBuffer();
    picture = await loadImage(path('examples/pictures/toy-rocket.png'));
    pipe = await StableVideoDiffusionPipeline.fromPretrained(path('weights/tiny'), {
      backend: testBackend,
    });
  });
  after(() => pipe.dispose());

  async function expectFrames(seed: number): Promise<void> {
    const generator = new Generator(seed);
    const size = { height, width, numFrames, numInferenceSteps };
    const { frames } = await pipe.generate(picture, { ...size, generator });
    let [equal, largest] = [0, 0];
    for (const [f, { data }] of frames[0].entries()) {
      for (const [i, value] of data.entries()) {
        const [y, x] = [Math.floor(i / (3 * width)), i % (3 * width)];
        const expected = sheet[((seed * height + y) * numFrames + f) * 3 * width + x];
        const difference = Math.abs(value - expected);
        if (difference === 0) equal++;
        largest = Math.max(largest, difference);
      }
    }
    expect(largest, `largest difference of 8-bit values from seed ${seed}`).to.be.at.most(1);
    const share = equal / (numFrames * height * width * 3);
    console.log(`      8-bit values that differ: ${(100 * (1 - share)).toFixed(3)} %`);
    expect(share, `share of equal 8-bit values from seed ${seed}`).to.be.at.least(EQUAL_BYTES);
  }

  // A seed takes 2 s on tensorflow, 10 s on wasm, and minutes elsewhere.
  const seeds = { tensorflow: 10, wasm: 3 }[testBackend as string] ?? 1;
  for (let seed = 0; seed < seeds; seed++)
    it(`makes the same frames from seed ${seed}${seed > 0 ? ' @slow' : ''}`, () =>
      expectFrames(seed));
});
