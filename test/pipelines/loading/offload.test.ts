/** Weights that are in memory only while their model works. */
import { existsSync, readdirSync, truncateSync } from 'node:fs';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { nativeHandleCount } from '../../../src/backends/index.ts';
import {
  type Checkpoint,
  CheckpointError,
  openCheckpoint,
} from '../../../src/checkpoints/index.ts';
import { loadImage } from '../../../src/media/pictures/loadImage.ts';
import { offloadBlocks } from '../../../src/pipelines/loading/offload.ts';
import { StableVideoDiffusionPipeline } from '../../../src/pipelines/node.ts';
import type { GenerateOptions } from '../../../src/pipelines/types.ts';
import { Generator } from '../../../src/random/generator.ts';
import { testBackend } from '../../setup.ts';

const path = (name: string) => fileURLToPath(new URL(`../../../${name}`, import.meta.url));
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
  it('gives the frames of resident weights, call after call, leaving no weight @slow', async () => {
    const image = await loadImage(path('test/fixtures/images/rocket.jpg'));
    const load = (offload: 'none' | 'model' | 'sequential') =>
      StableVideoDiffusionPipeline.fromPretrained(path('weights/tiny'), {
        backend: testBackend,
        offload,
      });
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
          for (const { variable } of model.parameters())
            expect(() => variable.read().dataSync()).to.throw('not in memory');
        }
      }
      pipe.dispose();
      expect(held()).to.deep.equal(before);
    }
  });

  it('frees the weights also when the call is stopped', async () => {
    const image = await loadImage(path('test/fixtures/images/rocket.jpg'));
    const pipe = await StableVideoDiffusionPipeline.fromPretrained(path('weights/tiny'), {
      backend: testBackend,
      offload: 'model',
    });
    const stop = new AbortController();
    const onProgress = ({ stage }: { stage: string }) => {
      if (stage === 'sampling') stop.abort();
    };
    const failure = await pipe
      .generate(image, { ...options(), signal: stop.signal, onProgress })
      .then(
        () => undefined,
        (error: Error) => error,
      );
    expect(failure?.name).to.equal('AbortError');
    const [{ variable }] = pipe.unet.parameters();
    expect(() => variable.read().dataSync()).to.throw('not in memory');
    pipe.dispose();
  });
});

describe('offload sequential', () => {
  /** A checkpoint that notes the names of the weights that are read. */
  function noting(checkpoint: Checkpoint, read: string[]): Checkpoint {
    return {
      ...checkpoint,
      [Symbol.asyncDispose]: () => checkpoint.close(),
      async reopen() {
        const files = await checkpoint.reopen();
        return {
          ...files,
          [Symbol.asyncDispose]: () => files.close(),
          async weights(component) {
            const source = await files.weights(component);
            const noted = <T>(name: string, work: T) => {
              read.push(name);
              return work;
            };
            return {
              ...source,
              read: (name) => noted(name, source.read(name)),
              readBytes: (name, target) => noted(name, source.readBytes!(name, target)),
            };
          },
        };
      },
    };
  }

  it('reads in a shallow step of DeepCache only what it computes, and gives the same', async () => {
    const image = await loadImage(path('test/fixtures/images/rocket.jpg'));
    const pipe = await StableVideoDiffusionPipeline.fromPretrained(path('weights/tiny'), {
      backend: testBackend,
    });
    const call = (onStep?: () => void) => ({
      ...{ ...options(), outputType: 'latent' as const, numInferenceSteps: 5 },
      ...{ deepCache: { interval: 2, branch: 0 }, guidanceInterval: [0.5, 200] as const },
      ...{ guidanceTogether: false },
      onBlock: (name: string) => name === 'scheduler' && onStep?.(),
    });
    const resident = (await pipe.generate(image, call())).frames;
    const [read, steps]: [string[], string[][]] = [[], []];
    const checkpoint = await openCheckpoint(path('weights/tiny'));
    const models = { unet: pipe.unet, vae: pipe.vae, imageEncoder: pipe.imageEncoder };
    pipe.components.offload = offloadBlocks(noting(checkpoint, read), models, {});
    const streamed = (
      await pipe.generate(
        image,
        call(() => steps.push(read.splice(0))),
      )
    ).frames;
    expect(await streamed.data()).to.deep.equal(await resident.data());
    // The third step runs in full for both halves, and the fourth is shallow for both of them.
    const inside = (names: string[]) =>
      names.filter((name) => /^(mid|down_blocks\.[12])/.test(name));
    expect(inside(steps[2])).not.to.deep.equal([]);
    expect(inside(steps[3])).to.deep.equal([]);
    const up = steps[3].filter((name) => name.startsWith('up_blocks'));
    expect(up).not.to.deep.equal([]);
    expect(up.filter((name) => !name.startsWith('up_blocks.2.'))).to.deep.equal([]);
    expect(steps[3].filter((name) => name === 'conv_out.weight')).to.have.lengthOf(2);
    tf.dispose([resident, streamed]);
    await checkpoint.close();
    pipe.dispose();
  });

  const openFiles = () => (existsSync('/proc/self/fd') ? readdirSync('/proc/self/fd').length : 0);

  async function failure(
    pipe: StableVideoDiffusionPipeline,
    changed: Partial<GenerateOptions>,
  ): Promise<Error> {
    const image = await loadImage(path('test/fixtures/images/rocket.jpg'));
    const before = { ...held(), files: openFiles() };
    const error = await pipe.generate(image, { ...options(), ...changed }).then(
      () => new Error('It did not fail.'),
      (thrown: Error) => thrown,
    );
    expect({ ...held(), files: openFiles() }).to.deep.equal(before);
    return error;
  }

  it('says that a model alone has no weights', async () => {
    const pipe = await StableVideoDiffusionPipeline.fromPretrained(path('weights/tiny'), {
      backend: testBackend,
      offload: 'sequential',
    });
    const x = tf.zeros([1, 8, 8, 4]);
    expect(() => pipe.vae.call([x.slice([0, 0, 0, 0], [1, 8, 8, 3])])).to.throw(
      'The weights of this layer are not in memory.',
    );
    tf.dispose(x);
    pipe.dispose();
  });

  it('stops within every model, and frees weights and files', async () => {
    const pipe = await StableVideoDiffusionPipeline.fromPretrained(path('weights/tiny'), {
      backend: testBackend,
      offload: 'sequential',
    });
    for (const block of [
      'image_encoder.vision_model.pre_layrnorm',
      'vae.encoder.conv_in',
      'unet.conv_in',
      'vae.decoder.conv_in',
    ]) {
      const stop = new AbortController();
      const error = await failure(pipe, {
        signal: stop.signal,
        onBlock: (name) => name === block && stop.abort(),
      });
      expect(error.name, block).to.equal('AbortError');
    }
    pipe.dispose();
  });

  it('ends with the name of the tensor when the disk fails, and frees weights and files', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'offload-'));
    try {
      await cp(path('weights/tiny'), folder, { recursive: true });
      const pipe = await StableVideoDiffusionPipeline.fromPretrained(folder, {
        backend: testBackend,
        offload: 'sequential',
      });
      const cut = (name: string) => {
        // Blocks are in no order in the file: all that comes after the first bytes is gone.
        if (name === 'unet.conv_in')
          truncateSync(join(folder, 'unet', 'diffusion_pytorch_model.safetensors'), 200_000);
      };
      const error = await failure(pipe, { onBlock: cut });
      expect(error).to.be.instanceOf(CheckpointError);
      expect(error.message).to.match(
        /^Cannot read the tensor "[\w.]+"\. Cannot read .*diffusion_pytorch_model\.safetensors: it has become shorter/,
      );
      pipe.dispose();
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
