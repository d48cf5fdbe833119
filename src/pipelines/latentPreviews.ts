/** Small previews of a video while it is sampled, which cost next to nothing. */
import type * as tf from '@tensorflow/tfjs';
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
      colours ??= (await rowsOf(imageLatents!)).map((data, i) =>
        fitLatentColours(pictures[i]!, { data, shape: [1, ...imageLatents!.shape.slice(1)] }),
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
      const each = clean.length / videos;
      const previews = Array.from({ length: videos }, (_, video) =>
        colours![Math.floor((video * pictures.length) / videos)]!({
          data: clean.subarray(video * each, (video + 1) * each),
          shape,
        }),
      );
      await onPreview(previews, step);
      return undefined; // keeps the latents
    },
  };
}

/** The values of each row of the first axis. */
async function rowsOf(tensor: tf.Tensor): Promise<Float32Array[]> {
  const data = (await tensor.data()) as Float32Array;
  const each = data.length / tensor.shape[0]!;
  return Array.from({ length: tensor.shape[0]! }, (_, i) =>
    data.subarray(i * each, (i + 1) * each),
  );
}
