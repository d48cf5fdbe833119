/** Classifier-free guidance with a scale per frame. */
import * as tf from '@tensorflow/tfjs-core';
import { isWithin } from '../../schedulers/sigmas.ts';
import type { SampledCall } from './schedule.ts';

/**
 * The inputs of the UNet besides the noisy latents, for one half of guidance or both: the context
 * `[B, 1, C]`, and the latents of the picture for every frame, `[B*F, h, w, C]`.
 */
export type Condition = [context: tf.Tensor, picture: tf.Tensor];

/** `count` scales from `min` for the first frame to `max` for the last. */
export function guidanceScales(min: number, max: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) =>
    count === 1 ? min : min + ((max - min) * i) / (count - 1),
  );
}

/** Whether guidance is on, so that the UNet is evaluated twice per step. */
export const isGuided = (min: number, max: number, count: number): boolean =>
  min > 1 || (count > 1 && max > 1);

/** The most guidance that the weights of AnimateLCM-SVD are made for. */
const ANIMATELCM_GUIDANCE = 1.2;

/** Sentences about guidance of a call, its steps set, that cannot be meant so. */
export function guidanceWarnings({
  scheduler,
  numFrames,
  minGuidanceScale: min,
  maxGuidanceScale: max,
  guidanceInterval: interval,
}: SampledCall): string[] {
  if (!isGuided(min, max, numFrames)) return [];
  const found: string[] = [];
  const levels = Array.from(scheduler.sigmas.slice(0, -1));
  if (interval && !levels.some((sigma) => isWithin(sigma, interval))) {
    const [lowest, highest] = [Math.min(...levels), Math.max(...levels)].map((sigma) =>
      Number(sigma.toPrecision(3)),
    );
    found.push(
      `No step is guided: \`guidanceInterval\` (--guidance-interval) ${interval.join(',')} holds ` +
        `none of the noise levels of the steps, which are from ${lowest} to ${highest}.`,
    );
  }
  const most = Math.max(...guidanceScales(min, max, numFrames));
  if (scheduler.className.startsWith('AnimateLCM') && most > ANIMATELCM_GUIDANCE)
    found.push(
      `Guidance goes up to ${most}, but the weights of AnimateLCM are made for 1 to ` +
        `${ANIMATELCM_GUIDANCE}: set \`maxGuidanceScale\` (--max-guidance-scale) to 1, which also ` +
        'halves the work.',
    );
  return found;
}

/**
 * The condition of each evaluation of the UNet in a guided step: one for both halves of guidance,
 * the unconditional half first, or one for each half.
 */
export function conditionBatches(conditional: Condition, together: boolean): Condition[] {
  const batch = (make: (x: tf.Tensor) => tf.Tensor) =>
    conditional.map((x) => tf.tidy(() => make(x))) as Condition;
  if (!together) return [batch((x) => tf.zerosLike(x)), conditional];
  return [batch((x) => tf.concat([tf.zerosLike(x), x]))];
}

/**
 * `uncond + scale * (cond - uncond)`: predictions `[2*B*F, h, w, C]`, all unconditional ones first,
 * and one scale for each frame of a video -> `[B*F, h, w, C]`. Source: Ho and Salimans 2022, in
 * diffusers' form.
 */
export function guide(predictions: tf.Tensor, scales: number[]): tf.Tensor {
  return tf.tidy(() => {
    const [unconditional, conditional] = tf.split(predictions, 2);
    const videos = unconditional.shape[0] / scales.length;
    const perFrame = tf.tile(tf.tensor4d(scales, [scales.length, 1, 1, 1]), [videos, 1, 1, 1]);
    return tf.add(unconditional, tf.mul(perFrame, tf.sub(conditional, unconditional)));
  });
}
