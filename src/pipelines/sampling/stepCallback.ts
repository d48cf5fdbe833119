/** Hands the latents after each sampling step to the caller's callback. */
import * as tf from '@tensorflow/tfjs-core';
import type { TensorScope } from '../../layers/index.ts';
import { checkOptions } from '../../text/options.ts';
import { partsOf } from '../components.ts';
import { type CallSettings, callbackTensorNames } from '../settings.ts';
import { callBack } from '../turns.ts';
import type { CallbackTensors, CallingPipeline, GenerateOptions } from '../types.ts';
import { allFinite } from './finite.ts';

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
  const returned = await callBack(partsOf(pipe.components), () =>
    callbackOnStepEnd(pipe, step, timestep, chosen),
  );
  const replaced = returned?.latents;
  if (replaced instanceof tf.Tensor && replaced !== offered) scope.keep(replaced);
  if (returned) checkOptions('callbackOnStepEnd', returned, callbackTensorNames);
  if (!replaced || replaced === offered) {
    scope.free(offered);
    return latents;
  }
  const shape = replaced instanceof tf.Tensor ? replaced.shape : [];
  if (!tf.util.arraysEqual(shape, offered.shape)) {
    throw new Error(
      `\`callbackOnStepEnd\` has to return latents of shape [${offered.shape}] but returned ` +
        `[${shape}].`,
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
