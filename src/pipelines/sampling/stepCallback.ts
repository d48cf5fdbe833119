/** Checks the latents after each sampling step, and hands them to the caller's callback. */
import * as tf from '@tensorflow/tfjs';
import type { ComputeDtype, TensorScope } from '../../layers/index.ts';
import type { CallSettings } from '../settings.ts';
import type { CallbackTensors, CallingPipeline, GenerateOptions } from '../types.ts';

async function allFinite(x: tf.Tensor): Promise<boolean> {
  const finite = tf.tidy(() => tf.all(tf.isFinite(x)));
  const [yes] = await finite.data();
  finite.dispose();
  return yes === 1;
}

/**
 * Checks the latents after a step.
 * @throws Error that names the step, if they are not finite.
 */
export async function checkFinite(
  latents: tf.Tensor,
  step: string,
  computeDtype: ComputeDtype,
): Promise<void> {
  if (await allFinite(latents)) return;
  const advice =
    computeDtype === 'float16'
      ? 'float16 ends at 65504: try bfloat16 or float32.'
      : 'The weights may be broken: check the model folder, or try the float32 files.';
  throw new Error(`The latents are not finite after step ${step}. ${advice}`);
}

/**
 * Calls `callbackOnStepEnd`, if there is one, with the tensors of a step, and returns the latents
 * to go on with, which `scope` keeps.
 * @param ended The step, from 0 on, with every tensor that the callback can ask for. Its latents
 * are `[videos*F, h, w, C]`.
 * @throws Error if the callback returns latents of another shape or that are not finite.
 */
export async function runStepCallback(
  pipe: CallingPipeline,
  { step, timestep, tensors }: { step: number; timestep: number; tensors: CallbackTensors },
  { numFrames, callbackOnStepEndTensorInputs: names }: CallSettings,
  { callbackOnStepEnd }: GenerateOptions,
  scope: TensorScope,
): Promise<tf.Tensor> {
  const { latents } = tensors;
  if (!callbackOnStepEnd) return latents;
  const offered = scope.tidy(() => asVideos(latents, numFrames));
  const all: CallbackTensors = { ...tensors, latents: offered };
  const chosen = Object.fromEntries(names.map((name) => [name, all[name]]));
  const replaced = (await callbackOnStepEnd(pipe, step, timestep, chosen))?.latents;
  if (!replaced || replaced === offered) {
    scope.free(offered);
    return latents;
  }
  scope.keep(replaced);
  if (!tf.util.arraysEqual(replaced.shape, offered.shape)) {
    throw new Error(
      `\`callbackOnStepEnd\` has to return latents of shape [${offered.shape}] but returned ` +
        `[${replaced.shape}].`,
    );
  }
  if (!(await allFinite(replaced))) {
    throw new Error(
      `\`callbackOnStepEnd\` returned latents that are not finite after step ${step + 1}.`,
    );
  }
  const next = scope.tidy(() => tf.reshape(replaced, latents.shape));
  scope.free(latents, offered, replaced);
  return next;
}

/** Latents `[videos*F, h, w, C]` as `[videos, F, h, w, C]`. */
export const asVideos = (latents: tf.Tensor, numFrames: number): tf.Tensor =>
  tf.reshape(latents, [-1, numFrames, ...latents.shape.slice(1)]);
