/** The sampling loop: from noise to latents, one call of the scheduler after the other. */
import * as tf from '@tensorflow/tfjs-core';
import { TensorScope } from '../../layers/index.ts';
import type { CallState } from '../resume/callState.ts';
import type { CallSettings } from '../settings.ts';
import type { CallingPipeline } from '../types.ts';
import { channelsFirst } from './axes.ts';
import { checkFinite } from './finite.ts';
import { type Condition, conditionBatches, guidanceScales, guide, isGuided } from './guidance.ts';
import { repeatEach, startLatents } from './inputs.ts';
import type { ModelRunner, RunOptions } from './modelRunner.ts';
import { runStepCallback } from './stepCallback.ts';

/**
 * Goes from start noise, or from where an earlier call stood, to the final latents
 * `[videos*F, h, w, C]`.
 */
export async function denoise(
  pipe: CallingPipeline,
  runner: ModelRunner,
  conditions: Record<'imageEmbeddings' | 'imageLatents' | 'addedTimeIds', tf.Tensor>,
  shape: number[],
  settings: CallSettings,
  state: CallState,
  options: RunOptions,
): Promise<tf.Tensor> {
  const { scheduler, unet } = pipe;
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

  const { stepsDone } = state;
  let latents = scope.tidy(() =>
    stepsDone > 0 ? state.restore() : startLatents(settings, shape, scheduler.initNoiseSigma),
  );
  if (stepsDone === 0)
    await options.onStage?.('initial_latents', await channelsFirst(latents, numFrames));
  const timesteps = Array.from(scheduler.timesteps);
  options.onProgress?.({ stage: 'sampling', step: stepsDone, steps: timesteps.length });
  for (const [step, timestep] of [...timesteps.entries()].slice(stepsDone)) {
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
    latents = scope.tidy(() => {
      const velocity = guided ? guide(tf.concat(velocities), scales) : velocities[0];
      return scheduler.step(velocity, timestep, before).prevSample;
    });
    scope.free(before, ...velocities);
    const when = `after step ${step + 1} of ${timesteps.length}`;
    await checkFinite(latents, 'The latents', unet, { when });
    options.onBlock?.('scheduler');
    await options.onStage?.(`latents_step_${step}`, await channelsFirst(latents, numFrames));
    const ended = { step, timestep, tensors: { ...callbackTensors, latents } };
    latents = await runStepCallback(pipe, ended, settings, options, scope);
    await options.onState?.(await state.after(step + 1, latents));
    options.onProgress?.({ stage: 'sampling', step: step + 1, steps: timesteps.length });
  }
  return scope.release(latents);
}

/**
 * The UNet's velocity `[copies*videos*F, h, w, C]` for latents `[videos*F, h, w, C]`, of which
 * `condition` takes one copy, or two with both halves of guidance.
 */
async function predict(
  { unet, scheduler }: CallingPipeline,
  runner: ModelRunner,
  latents: tf.Tensor,
  timestep: number,
  [context, picture]: Condition,
  ids: tf.Tensor,
  { numFrames }: CallSettings,
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
