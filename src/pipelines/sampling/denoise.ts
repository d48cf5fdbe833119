/** The sampling loop: from noise to latents, one call of the scheduler after the other. */
import * as tf from '@tensorflow/tfjs-core';
import { TensorScope } from '../../layers/index.ts';
import { isWithin } from '../../schedulers/sigmas.ts';
import type { CallState } from '../resume/callState.ts';
import type { CallingPipeline } from '../types.ts';
import { channelsFirst } from './axes.ts';
import { KeptStates } from './deepCache.ts';
import { checkFinite } from './finite.ts';
import { type Condition, conditionBatches, guidanceScales, guide, isGuided } from './guidance.ts';
import { repeatEach, startLatents } from './inputs.ts';
import type { ModelRunner, RunOptions } from './modelRunner.ts';
import type { SampledCall } from './schedule.ts';
import { asVideos, runStepCallback } from './stepCallback.ts';

/**
 * Goes from start noise, or from where an earlier call stood, to the final latents
 * `[videos*F, h, w, C]`.
 */
export async function denoise(
  pipe: CallingPipeline,
  runner: ModelRunner,
  conditions: Record<'imageEmbeddings' | 'imageLatents' | 'addedTimeIds', tf.Tensor>,
  shape: number[],
  settings: SampledCall,
  state: CallState,
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
  const halves = guided ? conditionBatches(conditional, settings.guidanceTogether) : [];
  scope.keep(halves.flat());
  const callbackTensors = { ...conditions, imageEmbeddings: conditional[0] };

  using kept = new KeptStates(settings.deepCache);
  const { stepsDone } = state;
  let latents = scope.tidy(() =>
    stepsDone > 0 ? state.restore() : startLatents(settings, shape, scheduler.initNoiseSigma),
  );
  if (stepsDone === 0)
    await options.onStage?.('initial_latents', await channelsFirst(latents, numFrames));
  const timesteps = Array.from(scheduler.timesteps);
  options.onProgress?.({ stage: 'sampling', step: stepsDone, steps: timesteps.length });
  for (const [step, timestep] of [...timesteps.entries()].slice(stepsDone)) {
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
    const [after, predOriginalSample] = scope.tidy(() => {
      const velocity = isGuidedNow ? guide(tf.concat(velocities), scales) : velocities[0];
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
    if (kept.isRenewedAt(step + 1) || step + 1 === timesteps.length)
      await options.onState?.(await state.after(step + 1, latents));
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
  { unet }: CallingPipeline,
  runner: ModelRunner,
  { latents, timestep, condition: [context, picture], addedTimeIds, state }: EvaluationInputs,
  branch: number | undefined,
  { numFrames, scheduler }: SampledCall,
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
