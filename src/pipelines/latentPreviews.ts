/** Small previews of a video while it is sampled, which cost next to nothing. */
import type * as tf from '@tensorflow/tfjs-core';
import type { RgbImage } from '../media/image.ts';
import { fitLatentColours, type LatentColours } from '../media/latentColours.ts';
import type { GenerateOptions } from './types.ts';

/**
 * Options of `generate` that hand over previews after each step. They show the clean video that the
 * sampler expects, in the size of its latents, by an affine map from latents to RGB that is fitted
 * to the picture. The first preview shows noise.
 *
 * @param images The picture or pictures of the call.
 * @param onPreview Called with the frames `[videos][F]` and the step, from 0 on.
 *
 * @example
 * const shown = latentPreviews(image, ([frames]) => exportToVideo(frames, 'preview.gif'));
 * await pipe.generate(image, { ...settings, ...shown });
 */
export function latentPreviews(
  images: RgbImage | readonly RgbImage[],
  onPreview: (videos: RgbImage[][], step: number) => void | Promise<void>,
): Pick<GenerateOptions, 'callbackOnStepEnd' | 'callbackOnStepEndTensorInputs'> {
  const pictures = [images].flat();
  let colours: LatentColours[] | undefined;
  let before: Float32Array | undefined;
  return {
    callbackOnStepEndTensorInputs: ['latents', 'imageLatents'],
    callbackOnStepEnd: async (pipe, step, _timestep, { latents, imageLatents }) => {
      const [rows, ...size] = imageLatents!.shape as [number, ...number[]];
      colours ??= rowsOf(await imageLatents!.data(), rows).map((data, i) =>
        fitLatentColours(pictures[i]!, { data, shape: [1, ...size] }),
      );
      const now = (await latents!.data()) as Float32Array;
      const [from, to] = [pipe.scheduler.sigmas[step]!, pipe.scheduler.sigmas[step + 1]!];
      // An Euler step goes straight from one noise level to the next. Extended to level 0, it ends
      // at the expected clean latents.
      const ahead = step > 0 ? to / (from - to) : 0;
      const scale = pipe.vae.config.scalingFactor * (step > 0 ? 1 : Math.hypot(to, 1));
      const clean = now.map(
        (value, i) => (value + ahead * (value - (before?.[i] ?? value))) / scale,
      );
      before = now;
      const [videos, ...shape] = latents!.shape as [number, ...number[]];
      const previews = rowsOf(clean, videos).map((data, video) =>
        colours![Math.floor((video * pictures.length) / videos)]!({ data, shape }),
      );
      await onPreview(previews, step);
      return undefined; // keeps the latents
    },
  };
}

/** The values of each of `count` rows of the first axis. */
function rowsOf(data: tf.TypedArray, count: number): Float32Array[] {
  const each = data.length / count;
  return Array.from({ length: count }, (_, i) =>
    (data as Float32Array).subarray(i * each, (i + 1) * each),
  );
}
