/** Weights that are in memory only while their model works. */
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { nativeHandleCount } from '../../src/backends/index.ts';
import { loadImage } from '../../src/media/loadImage.ts';
import { StableVideoDiffusionPipeline } from '../../src/pipelines/fromPretrained.ts';
import { Generator } from '../../src/random/generator.ts';
import { testBackend } from '../setup.ts';

const path = (name: string) => fileURLToPath(new URL(`../../${name}`, import.meta.url));
const options = () => ({
  height: 32,
  width: 32,
  numFrames: 2,
  numInferenceSteps: 1,
  generator: new Generator(1),
  outputType: 'array' as const,
});

const held = () => ({ buffers: tf.engine().state.numDataBuffers, native: nativeHandleCount() });

describe('offload', () => {
  it('gives the frames of resident weights, call after call, and leaves no weight in memory', async () => {
    const image = await loadImage(path('test/fixtures/images/rocket.jpg'));
    const load = (offload: 'none' | 'model' | 'sequential') =>
      StableVideoDiffusionPipeline.fromPretrained(path('weights/tiny'), { backend: testBackend, offload });
    const resident = await load('none');
    const expected = (await resident.generate(image, options())).frames;
    resident.dispose();
    const before = held();
    for (const mode of ['model', 'sequential'] as const) {
      const pipe = await load(mode);
      for (const _ of [1, 2]) {
        const { frames } = await pipe.generate(image, options());
        expect(frames.data).to.deep.equal(expected.data);
        // Declared weights count as tensors; those that hold values can be read.
        for (const model of [pipe.vae, pipe.imageEncoder, pipe.unet]) {
          for (const { variable } of model.parameters()) expect(() => variable.read().dataSync()).to.throw('not in memory');
        }
      }
      pipe.dispose();
      expect(held()).to.deep.equal(before);
    }
  });

  it('frees the weights also when the call is stopped', async () => {
    const image = await loadImage(path('test/fixtures/images/rocket.jpg'));
    const pipe = await StableVideoDiffusionPipeline.fromPretrained(path('weights/tiny'), { backend: testBackend, offload: 'model' });
    const stop = new AbortController();
    const onProgress = ({ stage }: { stage: string }) => {
      if (stage === 'sampling') stop.abort();
    };
    const failure = await pipe.generate(image, { ...options(), signal: stop.signal, onProgress }).then(
      () => undefined,
      (error: Error) => error,
    );
    expect(failure?.name).to.equal('AbortError');
    const [{ variable }] = pipe.unet.parameters();
    expect(() => variable.read().dataSync()).to.throw('not in memory');
    pipe.dispose();
  });
});
