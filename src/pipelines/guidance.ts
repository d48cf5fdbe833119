/** Classifier-free guidance with a scale per frame. */
import * as tf from '@tensorflow/tfjs';

/** `count` scales from `min` for the first frame to `max` for the last. */
export function guidanceScales(min: number, max: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) =>
    count === 1 ? min : min + ((max - min) * i) / (count - 1),
  );
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
