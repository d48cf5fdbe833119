/** Computing a part of the first axis at a time, so that intermediate tensors stay small. */
import * as tf from '@tensorflow/tfjs-core';
import { deviceName, inRuns, tensorLimit } from './device.ts';

/**
 * Bytes that intermediate tensors may take where slices have the same result. A processor is not
 * much slower with slices that fit into its cache; elsewhere, each slice costs more than it saves.
 * @param tensorBytes The bytes of the largest tensor that the device takes.
 */
export const sliceBytes = (device = deviceName(), tensorBytes = tensorLimit()) =>
  Math.min((device === 'tensorflow-cpu' ? 16 : 256) * 2 ** 20, tensorBytes);

/**
 * As `sliceBytes`, where every slice reads the filters again. Half of it on WebGPU, where buffers
 * are not divided: in the decoder, those of half as many frames serve all frames after it.
 */
export const pictureBytes = () => (deviceName() === 'webgpu' ? 8 : 16) * sliceBytes();

/**
 * `compute` on as many pictures `[N, H, W, C]` at a time as fit into `pictureBytes`, and on the
 * entries of other `inputs` that belong to them.
 * @param valuesPerPixel Numbers that `compute` holds for one pixel.
 */
export function inPictures(
  inputs: tf.Tensor[],
  valuesPerPixel: number,
  compute: (pictures: tf.Tensor[]) => tf.Tensor,
): tf.Tensor {
  const [, height, width] = inputs[0].shape;
  return inSlices(inputs, 4 * valuesPerPixel * height * width, compute, pictureBytes());
}

/**
 * `compute` on slices of the first axis of all `inputs`, joined. It has to treat the entries of
 * that axis one by one.
 * @param entryBytes Bytes that `compute` allocates for one entry.
 * @param budget Bytes that it may allocate for a slice.
 */
export function inSlices<T extends tf.Tensor>(
  inputs: tf.Tensor[],
  entryBytes: number,
  compute: (slices: tf.Tensor[]) => T,
  budget = sliceBytes(),
): T {
  const n = inputs[0].shape[0];
  const count = Math.ceil(n / Math.max(1, Math.floor(budget / entryBytes)));
  if (count === 1) return compute(inputs);
  const size = Math.ceil(n / count);
  return inRuns(n, size, (first, length) =>
    compute(
      inputs.map((x) =>
        tf.slice(x, [first, ...x.shape.slice(1).map(() => 0)], [length, ...x.shape.slice(1)]),
      ),
    ),
  );
}
