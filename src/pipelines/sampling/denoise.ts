/** The sampling loop: from noise to latents, one call of the scheduler after the other. */
import * as tf from '@tensorflow/tfjs-core';
import { TensorScope } from '../../layers/index.ts';
import type { CallSettings } from '../settings.ts';
import type { CallingPipeline } from '../types.ts';
import { channelsFirst } from './axes.ts';
import { KeptStates } from './deepCache.ts';
import { checkFinite } from './finite.ts';
import {
  type Condition,
  conditionBatches,
  guidanceScales,
  guide,
  isGuided,
  isWithin,
} from './guidance.ts';
import { repeatEach, startLatents } from './inputs.ts';
import type { ModelRunner, RunOptions } from './modelRunner.ts';
import { runStepCallback } from './stepCallback.ts';

/** Goes from start noise to the final latents `[videos*F, h, w, C]`. */
export async function denoise(
  pipe: CallingPipeline,
  runner: ModelRunner,
  conditions: Record<'imageEmbeddings' | 'imageLatents' | 'addedTimeIds', tf.Tensor>,
  shape: number[],
  settings: CallSettings,
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
  const halves = guided ? conditionBatches(conditional, settings.guidanceTogether) : [];
  scope.keep(halves.flat());
  const callbackTensors = { ...conditions, imageEmbeddings: conditional[0] };

  using kept = new KeptStates(settings.deepCache);
  let latents = scope.tidy(() => startLatents(settings, shape, scheduler.initNoiseSigma));
  await options.onStage?.('initial_latents', await channelsFirst(latents, numFrames));
  const timesteps = Array.from(scheduler.timesteps);
  options.onProgress?.({ stage: 'sampling', step: 0, steps: timesteps.length });
  for (const [step, timestep] of timesteps.entries()) {
    const isGuidedNow = guided && isWithin(scheduler.sigmas[step], settings.guidanceInterval);
    const evaluations = isGuidedNow ? halves : [conditional];
    const frames = evaluations.map(([, picture]) => picture.shape[0]);
    const states = kept.forStep(step, frames);
    const velocities: tf.Tensor[] = [];
    for (const [i, condition] of evaluations.entries()) {
      const inputs = { latents, timestep, condition, addedTimeIds, state: states[i] };
      const [velocity, ...toKeep] = await predict(
        pipe,
        runner,
        inputs,
        kept.branch,
        settings,
        options,
      );
      velocities.push(scope.keep(velocity));
      kept.keep(toKeep);
    }
    const before = latents;
    latents = scope.tidy(() => {
      const velocity = isGuidedNow ? guide(tf.concat(velocities), scales) : velocities[0];
      return scheduler.step(velocity, timestep, before).prevSample;
    });
    scope.free(before, ...velocities);
    const when = `after step ${step + 1} of ${timesteps.length}`;
    await checkFinite(latents, 'The latents', unet, { when });
    options.onBlock?.('scheduler');
    await options.onStage?.(`latents_step_${step}`, await channelsFirst(latents, numFrames));
    const ended = { step, timestep, tensors: { ...callbackTensors, latents } };
    latents = await runStepCallback(pipe, ended, settings, options, scope);
    options.onProgress?.({ stage: 'sampling', step: step + 1, steps: timesteps.length });
  }
  return scope.release(latents);
}

/** The inputs of one evaluation. */
interface EvaluationInputs {
  /** `[videos*F, h, w, C]`. */
  latents: tf.Tensor;
  timestep: number;
  /** It takes one copy of the latents, or two with both halves of guidance. */
  condition: Condition;
  addedTimeIds: tf.Tensor;
  /** What DeepCache has kept, for a shallow evaluation. */
  state?: tf.Tensor;
}

/**
 * The UNet's velocity `[copies*videos*F, h, w, C]`, and what an evaluation in full keeps for a
 * branch of DeepCache.
 */
async function predict(
  { unet, scheduler }: CallingPipeline,
  runner: ModelRunner,
  { latents, timestep, condition: [context, picture], addedTimeIds, state }: EvaluationInputs,
  branch: number | undefined,
  { numFrames }: CallSettings,
  options: RunOptions,
): Promise<tf.Tensor[]> {
  const copies = picture.shape[0] / latents.shape[0];
  using scope = new TensorScope();
  const input = scope.tidy(() => {
    const scaled = scheduler.scaleModelInput(latents, timestep);
    return tf.concat([tf.tile(scaled, [copies, 1, 1, 1]), picture], -1);
  });
  const [time, ids] = scope.tidy(() => [
    tf.tensor1d([timestep]),
    tf.tile(addedTimeIds, [copies, 1]),
  ]);
  return await runner.evaluate(
    'unet',
    {
      inputs: [input, time, context, ids, ...(state ? [state] : [])],
      replayKey: [numFrames, unet.forwardChunking, branch],
      steps: (inputs) => unet.cachedSteps(inputs, { numFrames }, branch),
      isPart: state !== undefined,
    },
    options,
  );
}
