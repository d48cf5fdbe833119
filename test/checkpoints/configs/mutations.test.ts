/**
 * Whatever the JSON files of a model hold, it loads, or is refused in one sentence of this project.
 */
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { convertCheckpoint } from '../../../converters/index.ts';
import { configFiles } from '../../../src/checkpoints/diffusers/names.ts';
import { CheckpointError } from '../../../src/checkpoints/errors.ts';
import { openCheckpoint } from '../../../src/checkpoints/index.ts';
import { describeModel } from '../../../src/pipelines/loading/describeModel.ts';
import { StableVideoDiffusionPipeline } from '../../../src/pipelines/node.ts';
import { EulerDiscreteScheduler } from '../../../src/schedulers/index.ts';
import { withModel } from '../../converters/models.ts';
import { Choices, fuzzCases } from '../../harness/fuzz.ts';
import { testBackend } from '../../setup.ts';
import { fixture, inTemporaryFolder } from '../files.ts';
import { mutated } from './mutatedJson.ts';

const tiny = fileURLToPath(new URL('../../../weights/tiny', import.meta.url));

/** Opens a model with the weights of all its parts. */
async function open(path: string, variant?: string): Promise<void> {
  await using files = await openCheckpoint(path, { variant });
  EulerDiscreteScheduler.fromConfig(files.config('scheduler')).setTimesteps(2);
  for (const component of ['unet', 'vae', 'image_encoder'] as const) await files.weights(component);
}

async function load(path: string): Promise<void> {
  (await StableVideoDiffusionPipeline.fromPretrained(path, { backend: testBackend })).dispose();
}

/** Tries one file of a model with `count` changes, which follow from their numbers. */
async function tryMutations(
  path: string,
  first: number,
  count: number,
  work: () => Promise<unknown>,
): Promise<void> {
  const text = await readFile(path, 'utf8');
  for (let seed = first; seed < first + count; seed++) {
    const content = mutated(text, new Choices(seed));
    await writeFile(path, content);
    const before = tf.memory().numTensors;
    const error = await work().then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    const what = `mutation ${seed} of ${path}: ${content.slice(0, 2000)}`;
    expect(tf.memory().numTensors, `tensors left by ${what}`).to.equal(before);
    if (error === undefined) continue;
    expect(error, `${(error as Error).stack} at ${what}`).to.be.instanceOf(CheckpointError);
    expect((error as Error).message, what).to.match(/^\P{Cc}+\.$/u);
  }
  await writeFile(path, text);
}

describe('JSON files with mutations', function () {
  this.timeout(0); // FUZZ says how long

  for (const file of configFiles) {
    it(`${file}: the model loads, or is refused in one sentence`, () =>
      inTemporaryFolder(async (folder) => {
        const model = join(folder, 'model');
        await cp(tiny, model, { recursive: true });
        await tryMutations(join(model, file), 0, fuzzCases(40), () => open(model));
        await tryMutations(join(model, file), 1e6, fuzzCases(3), () => load(model));
      }));
  }

  it('the index of several weight files', () =>
    inTemporaryFolder(async (folder) => {
      const model = join(folder, 'model');
      await cp(fixture('model'), model, { recursive: true });
      const index = join(model, 'unet/diffusion_pytorch_model.safetensors.index.sharded.json');
      await tryMutations(index, 0, fuzzCases(40), () => open(model, 'sharded'));
    }));

  it('the artifacts of TensorFlow.js', () =>
    withModel('float32', async (model, path) => {
      await convertCheckpoint(model, path('tfjs'), { to: 'tfjs' });
      const artifact = path('tfjs/vae/model.json');
      await tryMutations(artifact, 0, fuzzCases(40), () => open(path('tfjs')));
    }));

  it('are described in one sentence, too', () =>
    withModel('float32', async (model) => {
      for (const file of configFiles) {
        const describe = () => describeModel(model, { numFrames: 2, height: 64, width: 64 });
        await tryMutations(join(model, file), 2e6, fuzzCases(1), describe);
      }
    }));
});
