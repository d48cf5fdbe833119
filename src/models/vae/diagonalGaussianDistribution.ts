/**
 * The posterior that the VAE's encoder describes, mirroring `DiagonalGaussianDistribution` of
 * diffusers' `models/autoencoders/vae.py`.
 */
import * as tf from '@tensorflow/tfjs-core';

/**
 * A Gaussian per latent value, from moments `[N, h, w, 2C]`: means, then logarithms of variances.
 * Takes over the moments.
 */
export class DiagonalGaussianDistribution {
  /** Means `[N, h, w, C]`. */
  readonly mean: tf.Tensor4D;
  /** Logarithms of the variances, within [-30, 20]: `[N, h, w, C]`. */
  readonly logvar: tf.Tensor4D;

  constructor(moments: tf.Tensor4D) {
    [this.mean, this.logvar] = tf.tidy(() => {
      const [mean, logvar] = tf.split(moments, 2, -1);
      return [mean, tf.clipByValue(logvar, -30, 20)] as [tf.Tensor4D, tf.Tensor4D];
    });
    moments.dispose();
  }

  /** The most likely latents `[N, h, w, C]`. */
  mode(): tf.Tensor4D {
    return tf.clone(this.mean);
  }

  /** Latents drawn with the given standard normal noise `[N, h, w, C]`. */
  sample(noise: tf.Tensor4D): tf.Tensor4D {
    return tf.tidy(() => tf.add(this.mean, tf.mul(tf.exp(tf.mul(this.logvar, 0.5)), noise)));
  }

  /** Frees both tensors. */
  dispose(): void {
    this.mean.dispose();
    this.logvar.dispose();
  }
}
