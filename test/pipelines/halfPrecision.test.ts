/**
 * Half precision against diffusers in float32. It may be as far off as diffusers' own half
 * precision is (half-precision.json). Only the tensorflow backend computes in it.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { nativeHandleCount } from '../../src/backends/index.ts';
import type { ComputeDtype } from '../../src/layers/index.ts';
import { StableVideoDiffusionPipeline } from '../../src/pipelines/node.ts';
import type { FloatArray } from '../../src/pipelines/types.ts';
import { imageOf, optionsOf } from '../harness/calls.ts';
import { readFixture, relativeL2 } from '../harness/fixtures.ts';
import { pipelineByName } from '../harness/pipelines.ts';
import { testBackend } from '../setup.ts';

type Distances = Record<string, number>;

const { versions: _, ...cases } = JSON.parse(
  readFileSync(new URL('../fixtures/half-precision.json', import.meta.url), 'utf8'),
) as Record<string, Record<string, Distances>>;

const tiny = fileURLToPath(new URL('../../weights/tiny', import.meta.url));

describe('dtype', () => {
  const load = (dtype: string) =>
    StableVideoDiffusionPipeline.fromPretrained(tiny, {
      backend: testBackend,
      dtype: dtype as ComputeDtype,
    });

  for (const dtype of ['float16', 'bfloat16'] as const) {
    it(`${dtype} is what the UNet and the decoder compute in, or is refused with what there is`, async () => {
      const before = tf.memory().numTensors;
      if (testBackend === 'tensorflow') {
        const pipe = await load(dtype);
        const { unet, vae, imageEncoder } = pipe.components;
        const part = (name: string) =>
          vae.children.find((child) => child.name === name)!.computeDtype;
        expect([unet.computeDtype, part('decoder')]).to.deep.equal([dtype, dtype]);
        expect([part('encoder'), part('quant_conv'), imageEncoder.computeDtype]).to.deep.equal([
          'float32',
          'float32',
          'float32',
        ]);
        pipe.dispose();
      } else {
        const refusal = await load(dtype).then(String, (error: Error) => error.message);
        const needed = 'float16 and bfloat16 need the tensorflow backend.';
        expect(refusal).to.equal(
          `\`dtype\` has to be float32 on the ${testBackend} backend but is ${dtype}. ${needed}`,
        );
      }
      expect(tf.memory().numTensors - before, 'tensors left').to.equal(0);
    });
  }

  it('of another name is refused with what there is', async () => {
    const refusal = await load('float64').then(String, (error: Error) => error.message);
    const possible = testBackend === 'tensorflow' ? 'float32 or float16 or bfloat16' : 'float32';
    expect(refusal).to.equal(
      `\`dtype\` has to be ${possible} on the ${testBackend} backend but is float64.`,
    );
  });
});

describe('half precision', () => {
  before(function () {
    if (testBackend !== 'tensorflow') this.skip();
  });

  for (const [name, byType] of Object.entries(cases)) {
    for (const [dtype, limits] of Object.entries(byType)) {
      it(`${name} in ${dtype} is as near as diffusers in ${dtype}`, async () => {
        const fixture = await readFixture('pipelines', `${name}.safetensors`);
        const pipe = await pipelineByName(JSON.parse(fixture.metadata.components));
        for (const model of [pipe.unet, pipe.vae]) model.computeDtype = dtype as ComputeDtype;
        const stages: Record<string, FloatArray> = {};
        const before = { tensors: tf.memory().numTensors, handles: nativeHandleCount()! };
        const onStage = (stage: string, value: FloatArray) => {
          stages[stage] = value;
          if (stage.startsWith('latents_step_')) stages.latents = value;
        };
        await pipe.generate(await imageOf(fixture), {
          ...optionsOf(fixture),
          outputType: 'array',
          onStage,
        });
        expect(tf.memory().numTensors - before.tensors, 'tensors left by the call').to.equal(0);
        // Of weights whose values were still on the host, handles are made at first use.
        expect(nativeHandleCount()! - before.handles, 'handles left by the call').to.be.at.most(
          before.tensors,
        );
        const distances = Object.keys(limits).map(
          (stage) =>
            [stage, relativeL2(stages[stage]!.data, fixture.tensors[stage]!.data)] as const,
        );
        console.log(
          '      ' +
            `${distances.map(([stage, distance]) => `${stage} ${(distance / limits[stage]!).toFixed(2)}`).join(', ')} ` +
            `of diffusers'`,
        );
        expect(
          distances.filter(([stage, distance]) => !(distance <= limits[stage]!)),
        ).to.deep.equal([]);
        // The encoders are float32 always. What the rest gives has to differ by more than float32's
        // own rounding, or it was not in half.
        for (const [stage, distance] of distances) {
          if (stage.startsWith('image_')) expect(distance, stage).to.be.at.most(3e-5);
          else expect(distance, stage).to.be.at.least(1e-4);
        }
        pipe.dispose();
      });
    }
  }
});
