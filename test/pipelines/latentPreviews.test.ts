import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import {
  Generator,
  latentPreviews,
  loadImage,
  packagedModel,
  type RgbImage,
  StableVideoDiffusionPipeline,
  schedulerByName,
} from '../../src/index.ts';

/** The share of the frames' variance that pictures of latents explain, pixel by pixel. */
function explained(frames: RgbImage[], previews: RgbImage[]): number {
  const tensor = (pictures: RgbImage[]) =>
    tf.stack(
      pictures.map(({ data, width, height }) => tf.tensor3d(data, [height, width, 3], 'float32')),
    );
  return tf.tidy(() => {
    const truth = tf.avgPool(tensor(frames) as tf.Tensor4D, 8, 8, 'valid');
    const rest = tf.mean(tf.square(tf.sub(truth, tensor(previews))));
    return 1 - tf.div(rest, tf.moments(truth).variance).dataSync()[0]!;
  });
}

describe('latentPreviews', () => {
  it('shows the frames of each video more and more as they will be, and keeps no tensor', async () => {
    const pictures = await Promise.all(
      ['toy-rocket.png', 'toy-car.png'].map((name) => loadImage(`examples/pictures/${name}`)),
    );
    const pipe = await StableVideoDiffusionPipeline.fromPretrained(packagedModel, {
      backend: tf.getBackend() as 'wasm',
    });
    const steps: RgbImage[][][] = [];
    const before = tf.memory().numTensors;
    const { frames } = await pipe.generate(pictures, {
      ...{ height: 64, width: 64, numFrames: 3, numInferenceSteps: 4 },
      generator: [1, 2].map((seed) => new Generator(seed)),
      ...latentPreviews(pictures, (videos, step) => {
        expect(step).to.equal(steps.length);
        steps.push(videos);
      }),
    });
    expect(tf.memory().numTensors).to.equal(before);
    expect(steps).to.have.length(4);
    for (const [video, shown] of frames.entries()) {
      const shares = steps.map((videos) => explained(shown, videos[video]!));
      expect(shares[3], 'the last step').to.be.above(0.5);
      expect(shares[0], 'noise').to.be.below(0);
      expect(shares[2], 'the last but one').to.be.above(0.5);
      expect(explained(shown, steps[3]![1 - video]!), 'the other video').to.be.below(0.2);
    }
    pipe.dispose();
  });

  it('shows no noise that a sampler adds', async () => {
    const image = await loadImage('examples/pictures/toy-rocket.png');
    const pipe = await StableVideoDiffusionPipeline.fromPretrained(packagedModel, {
      backend: tf.getBackend() as 'wasm',
    });
    pipe.scheduler = schedulerByName('dpmpp-2m-sde');
    const steps: RgbImage[][][] = [];
    const { frames } = await pipe.generate(image, {
      ...{ height: 64, width: 64, numFrames: 2, numInferenceSteps: 5, maxGuidanceScale: 1 },
      generator: new Generator(1),
      ...latentPreviews(image, (videos) => void steps.push(videos)),
    });
    const shares = steps.map(([video]) => explained(frames[0]!, video!));
    for (const i of [2, 3, 4]) expect(shares[i], `step ${i}`).to.be.above(0.3);
    pipe.dispose();
  });
});
