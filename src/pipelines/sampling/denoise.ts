/** The sampling loop: from noise to latents, one call of the scheduler after the other. */
import * as tf from '@tensorflow/tfjs-core';
import { TensorScope } from '../../layers/index.ts';
import type { CallingPipeline } from '../types.ts';
import { channelsFirst } from './axes.ts';
import { checkFinite } from './finite.ts';
import { type Condition, conditionBatches, guidanceScales, guide, isGuided } from './guidance.ts';
import { repeatEach, startLatents } from './inputs.ts';
import type { ModelRunner, RunOptions } from './modelRunner.ts';
import type { SampledCall } from './schedule.ts';
import { asVideos, runStepCallback } from './stepCallback.ts';

/** Goes from start noise to the final latents `[videos*F, h, w, C]`. */
export async function denoise(
  pipe: CallingPipeline,
  runner: ModelRunner,
  conditions: Record<'imageEmbeddings' | 'imageLatents' | 'addedTimeIds', tf.Tensor>,
  shape: number[],
  settings: SampledCall,
  options: RunOptions,
): Promise<tf.Tensor> {
  const { unet } = pipe;
  const { scheduler, generator } = settings;
  const { addedTimeIds } = conditions;
  const { numFrames, numVideosPerPrompt, minGuidanceScale, maxGuidanceScale } = settings;
  const scales = guidanceScales(minGuidanceScale, maxGuidanceScale, numFrames);
  const guided = isGuided(minGuidanceScale, maxGuidanceScale, numFrames);
  using scope = new TensorScope();
  const conditional = scope.keep([
    repeatEach(conditions.imageEmbeddings, numVideosPerPrompt),
    repeatEach(conditions.imageLatents, numVideosPerPrompt * numFrames),
  ]) as Condition;
  const evaluations = guided
    ? conditionBatches(conditional, settings.guidanceTogether)
    : [conditional];
  scope.keep(evaluations.flat());
  const callbackTensors = { ...conditions, imageEmbeddings: conditional[0] };

  let latents = scope.tidy(() => startLatents(settings, shape, scheduler.initNoiseSigma));
  await options.onStage?.('initial_latents', await channelsFirst(latents, numFrames));
  const timesteps = Array.from(scheduler.timesteps);
  options.onProgress?.({ stage: 'sampling', step: 0, steps: timesteps.length });
  for (const [step, timestep] of timesteps.entries()) {
    const velocities: tf.Tensor[] = [];
    for (const condition of evaluations) {
      velocities.push(
        scope.keep(
          await predict(
            pipe,
            runner,
            latents,
            timestep,
            condition,
            addedTimeIds,
            settings,
            options,
          ),
        ),
      );
    }
    const before = latents;
    const [after, predOriginalSample] = scope.tidy(() => {
      const velocity = guided ? guide(tf.concat(velocities), scales) : velocities[0];
      // With an axis for the videos, each of which may have a generator.
      const [output, sample] = [velocity, before].map((x) => asVideos(x, numFrames));
      const stepped = scheduler.step(output, timestep, sample, { generator });
      return [tf.reshape(stepped.prevSample, before.shape), stepped.predOriginalSample];
    });
    latents = after;
    scope.free(before, ...velocities);
    const when = `after step ${step + 1} of ${timesteps.length}`;
    await checkFinite(latents, 'The latents', unet, { when });
    options.onBlock?.('scheduler');
    await options.onStage?.(`latents_step_${step}`, await channelsFirst(latents, numFrames));
    const tensors = { ...callbackTensors, latents, predOriginalSample };
    latents = await runStepCallback(pipe, { step, timestep, tensors }, settings, options, scope);
    scope.free(predOriginalSample);
    options.onProgress?.({ stage: 'sampling', step: step + 1, steps: timesteps.length });
  }
  return scope.release(latents);
}

/**
 * The UNet's velocity `[copies*videos*F, h, w, C]` for latents `[videos*F, h, w, C]`, of which
 * `condition` takes one copy, or two with both halves of guidance.
 */
async function predict(
  { unet }: CallingPipeline,
  runner: ModelRunner,
  latents: tf.Tensor,
  timestep: number,
  [context, picture]: Condition,
  ids: tf.Tensor,
  { numFrames, scheduler }: SampledCall,
  options: RunOptions,
): Promise<tf.Tensor> {
  const copies = picture.shape[0] / latents.shape[0];
  using scope = new TensorScope();
  const input = scope.tidy(() => {
    const scaled = scheduler.scaleModelInput(latents, timestep);
    return tf.concat([tf.tile(scaled, [copies, 1, 1, 1]), picture], -1);
  });
  const [time, allIds] = scope.tidy(() => [tf.tensor1d([timestep]), tf.tile(ids, [copies, 1])]);
  return await runner.evaluate(
    'unet',
    {
      inputs: [input, time, context, allIds],
      replayKey: [numFrames, unet.forwardChunking],
      steps: (inputs) => unet.steps(inputs, { numFrames }),
    },
    options,
  );
}
