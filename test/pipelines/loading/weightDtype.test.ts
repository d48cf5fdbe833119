/** Weights that stay in half precision in memory. */
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { nativeHandleCount } from '../../../src/backends/index.ts';
import { holdsHalves } from '../../../src/ops/halfWeights/halfWeights.ts';
import { isHalf } from '../../../src/ops/index.ts';
import { StableVideoDiffusionPipeline } from '../../../src/pipelines/node.ts';
import type { LoadOptions } from '../../../src/pipelines/types.ts';
import { Generator } from '../../../src/random/generator.ts';
import { inputPicture } from '../../harness/nameHash.ts';
import { testBackend } from '../../setup.ts';

const tiny = fileURLToPath(new URL('../../../weights/tiny', import.meta.url));
const picture = inputPicture('picture', 20, 12);
const held = () => ({ tensors: tf.memory().numTensors, native: nativeHandleCount() });

describe('weightDtype', () => {
  it(
    'gives the same frames to the bit, whether weights are widened once or at each use, and ' +
      'leaves nothing @slow',
    async () => {
      const before = held();
      const frames: Float32Array[] = [];
      const halves: number[] = [];
      const settings: LoadOptions[] = [
        { weightDtype: 'float32' },
        { weightDtype: 'auto' },
        { offload: 'model' },
      ];
      for (const options of settings) {
        const pipe = await StableVideoDiffusionPipeline.fromPretrained(tiny, {
          backend: testBackend,
          ...options,
        });
        const weights = [pipe.unet, pipe.vae, pipe.imageEncoder].flatMap((model) =>
          model.parameters(),
        );
        halves.push(weights.filter(({ variable }) => isHalf(variable.read())).length);
        const generate = () =>
          pipe.generate(picture, {
            ...{
              height: 32,
              width: 32,
              numFrames: 2,
              numInferenceSteps: 1,
              outputType: 'array' as const,
            },
            generator: new Generator(1),
          });
        frames.push((await generate()).frames.data);
        const used = held();
        await generate();
        expect(held()).to.deep.equal(used);
        pipe.dispose();
        expect(held()).to.deep.equal(before);
      }
      expect(frames[1]).to.deep.equal(frames[0]);
      expect(frames[2]).to.deep.equal(frames[0]);
      expect(halves[0]).to.equal(0);
      expect(halves[1] > 0).to.equal(holdsHalves(testBackend));
    },
  );
});
