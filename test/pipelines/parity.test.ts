/**
 * Whole sampling calls on photographs against diffusers, stage by stage: 1e-4 relative L2, 99.5 %
 * of 8-bit values equal, none off by more than 1.
 */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import type { FloatArray } from '../../src/pipelines/types.ts';
import { compareTensors } from '../../src/verification/compareTensors.ts';
import { imageOf, optionsOf } from '../harness/calls.ts';
import { fixtureNames, readFixture } from '../harness/fixtures.ts';
import { pipelineByName } from '../harness/pipelines.ts';

const TOLERANCE = 1e-4;
const EQUAL_BYTES = 0.995;

const largest: Record<string, number> = { latents: 0, frames: 0, unequal: 0 };

describe('sampling calls against diffusers', () => {
  for (const file of fixtureNames('pipelines')) {
    it(file.replace('.safetensors', ''), async () => {
      const fixture = await readFixture('pipelines', file);
      const pipe = await pipelineByName(JSON.parse(fixture.metadata.components));
      const image = await imageOf(fixture);
      const options = optionsOf(fixture);
      const stages: Record<string, FloatArray> = {};
      const before = tf.memory().numTensors;
      const onStage = (name: string, value: FloatArray) => {
        stages[name] = value;
      };
      const { frames } = await pipe.generate<'array' | 'latent'>(image, { ...options, onStage });
      if (frames instanceof tf.Tensor) {
        const values = tf.tidy(() => tf.transpose(frames, [0, 1, 4, 2, 3]));
        stages.latents = { data: (await values.data()) as Float32Array, shape: values.shape };
        tf.dispose([values, frames]);
      }
      expect(tf.memory().numTensors - before, 'tensors left by the call').to.equal(0);

      const distances: string[] = [];
      for (const [name, expected] of Object.entries(fixture.tensors)) {
        const ours = stages[name];
        if (name.startsWith('input.') || (name === 'latents' && !ours)) continue;
        expect(ours?.shape, `shape of ${name}`).to.deep.equal(expected.shape);
        const { relativeL2: distance } = compareTensors(ours, expected);
        if (name !== 'frames') largest.latents = Math.max(largest.latents, distance);
        if (!(distance <= TOLERANCE)) distances.push(`${name} ${distance.toExponential(1)}`);
      }
      expect(distances, 'stages that differ').to.deep.equal([]);
      if (fixture.tensors.frames) {
        const {
          relativeL2: distance,
          equalBytes,
          largestByteDifference,
        } = compareTensors(stages.frames, fixture.tensors.frames);
        largest.frames = Math.max(largest.frames, distance);
        largest.unequal = Math.max(largest.unequal, 1 - equalBytes);
        expect(equalBytes, 'share of equal 8-bit values').to.be.at.least(EQUAL_BYTES);
        expect(largestByteDifference, 'largest difference of 8-bit values').to.be.at.most(1);
      }
      pipe.dispose();
      tf.dispose(
        [options.latents, image instanceof tf.Tensor ? image : undefined].filter(
          (t) => t !== undefined,
        ),
      );
    });
  }

  after(() => {
    const { latents, frames, unequal } = largest;
    console.log(
      `      largest distance: latents ${latents.toExponential(1)}, frames ` +
        `${frames.toExponential(1)}; ` +
        `8-bit values that differ: ${(100 * unequal).toFixed(2)} %`,
    );
  });
});
