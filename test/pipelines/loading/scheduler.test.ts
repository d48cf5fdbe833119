/** The sampler that a model names. */
import { readFile, writeFile } from 'node:fs/promises';
import { expect } from 'chai';
import { StableVideoDiffusionPipeline } from '../../../src/pipelines/node.ts';
import { schedulerByName, schedulerNames } from '../../../src/schedulers/index.ts';
import { withModel } from '../../converters/models.ts';
import { testBackend } from '../../setup.ts';

const load = (path: string) =>
  StableVideoDiffusionPipeline.fromPretrained(path, { backend: testBackend });

describe('the scheduler of a model', () => {
  it('is written with its class, and read back', () =>
    withModel('float32', async (model, path) => {
      const pipe = await load(model);
      for (const name of schedulerNames) {
        pipe.scheduler = schedulerByName(name);
        await pipe.savePretrained(path('copy'));
        const index = JSON.parse(await readFile(path('copy/model_index.json'), 'utf8'));
        const module = name === 'animatelcm' ? 'animatelcm_scheduler' : 'diffusers';
        expect(index.scheduler).to.deep.equal([module, pipe.scheduler.className]);
        const copy = await load(path('copy'));
        expect(copy.scheduler).to.be.instanceOf(pipe.scheduler.constructor);
        expect(copy.scheduler.toConfig()).to.deep.equal(pipe.scheduler.toConfig());
        copy.dispose();
      }
      pipe.dispose();
    }));

  it('is of the class in model_index.json, whatever its config says', () =>
    withModel('float32', async (model) => {
      const file = `${model}/model_index.json`;
      const index = JSON.parse(await readFile(file, 'utf8'));
      index.scheduler = ['diffusers', 'EDMEulerScheduler'];
      await writeFile(file, JSON.stringify(index));
      const pipe = await load(model);
      expect(pipe.scheduler.className).to.equal('EDMEulerScheduler');
      pipe.dispose();
    }));
});
