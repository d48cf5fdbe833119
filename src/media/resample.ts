/**
 * Resizing that equals Pillow's Lanczos, torch's nearest and diffusers'
 * `_resize_with_antialiasing`. Needs neither Node nor a tensor library.
 */
import type { FloatArray, RgbImage } from './image.ts';

/** The inputs of one output value along its axis: `start`, `start + 1`, ... and their weights. */
interface Taps {
  start: number;
  weights: Int32Array;
}

const PRECISION_BITS = 22; // 32 without 8 of the pixel and 2 of overshoot

/**
 * Resizes a picture as Pillow's `Image.resize((width, height), LANCZOS)` does, to the same bytes:
 * one pass along each axis, both on 8-bit values with 22-bit fixed-point weights. Equal to Pillow
 * 13; older versions never run the vertical pass first.
 *
 * @throws When the new size is not made of positive integers.
 * @see Pillow `src/libImaging/Resample.c`
 */
export function resizeLanczos(image: RgbImage, width: number, height: number): RgbImage {
  checkSize(height, width);
  const lostRows = image.height - height;
  const verticalFirst = lostRows > 0 && lostRows > 2 * (image.width - width);
  const resized = verticalFirst
    ? resizeColumns(resizeRows(image, height), width)
    : resizeRows(resizeColumns(image, width), height);
  return resized === image ? { ...image, data: image.data.slice() } : resized;
}

function resizeColumns(image: RgbImage, width: number): RgbImage {
  if (image.width === width) return image;
  return {
    ...image,
    width,
    data: lanczosPass(image.data, image.height, image.width, 3, lanczosTaps(image.width, width)),
  };
}

function resizeRows(image: RgbImage, height: number): RgbImage {
  if (image.height === height) return image;
  return {
    ...image,
    height,
    data: lanczosPass(
      image.data,
      1,
      image.height,
      image.width * 3,
      lanczosTaps(image.height, height),
    ),
  };
}

/** Resamples the middle axis of `[outer, length, inner]` bytes. */
function lanczosPass(
  data: Uint8Array,
  outer: number,
  length: number,
  inner: number,
  taps: Taps[],
): Uint8Array {
  const result = new Uint8ClampedArray(outer * taps.length * inner);
  let to = 0;
  for (let o = 0; o < outer; o++) {
    for (const { start, weights } of taps) {
      const base = (o * length + start) * inner;
      for (let i = 0; i < inner; i++) {
        let sum = 1 << (PRECISION_BITS - 1);
        for (let k = 0, from = base + i; k < weights.length; k++, from += inner)
          sum += data[from]! * weights[k]!;
        result[to++] = sum >> PRECISION_BITS;
      }
    }
  }
  return new Uint8Array(result.buffer);
}

function lanczosTaps(from: number, to: number): Taps[] {
  const scale = from / to;
  const stretch = Math.max(scale, 1);
  const support = 3 * stretch;
  const unit = 1 / stretch;
  return Array.from({ length: to }, (_, x) => {
    const centre = (x + 0.5) * scale;
    const start = Math.max(0, Math.trunc(centre - support + 0.5));
    const end = Math.min(from, Math.trunc(centre + support + 0.5));
    const values = Array.from({ length: end - start }, (_, i) =>
      lanczos((i + start - centre + 0.5) * unit),
    );
    const total = values.reduce((sum, value) => sum + value, 0);
    const weights = Int32Array.from(values, (value) => {
      const fixed = (value / total) * (1 << PRECISION_BITS);
      return Math.trunc(fixed + (fixed < 0 ? -0.5 : 0.5));
    });
    return { start, weights };
  });
}

/** sinc(x) sinc(x / 3) on [-3, 3). */
function lanczos(x: number): number {
  return x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0;
}

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI);
}

/**
 * Resizes `[N, H, W, C]` values by picking the nearest, with the index rule of
 * `torch.nn.functional.interpolate(mode='nearest')`.
 *
 * @throws When the array does not have four axes or the new size is not made of positive integers.
 */
export function resizeNearest(
  { data, shape }: FloatArray,
  [height, width]: [number, number],
): FloatArray {
  const [n, h, w, c] = fourAxes(shape);
  checkSize(height, width);
  const rows = nearestIndices(h, height);
  const columns = nearestIndices(w, width);
  const result = new Float32Array(n * height * width * c);
  let to = 0;
  for (let i = 0; i < n; i++) {
    for (const y of rows) {
      for (const x of columns) {
        const from = ((i * h + y) * w + x) * c;
        for (let k = 0; k < c; k++) result[to++] = data[from + k]!;
      }
    }
  }
  return { data: result, shape: [n, height, width, c] };
}

/** torch computes scale and product in float32, which decides some ties. */
function nearestIndices(from: number, to: number): number[] {
  const scale = Math.fround(from / to);
  return Array.from({ length: to }, (_, i) =>
    Math.min(Math.floor(Math.fround(scale * i)), from - 1),
  );
}

/**
 * Resizes `[N, H, W, C]` values as diffusers' `_resize_with_antialiasing`: a Gaussian blur matched
 * to the reduction, then bicubic interpolation with aligned corners. Equal to it up to float32
 * rounding. Only the rows and columns that the interpolation reads are blurred, so that large
 * photographs are fast.
 *
 * @throws When the array does not have four axes, or when its height or width is below 2, because
 * the blur mirrors at the borders.
 * @see diffusers `pipelines/stable_video_diffusion/pipeline_stable_video_diffusion.py`
 */
export function resizeWithAntialiasing(
  { data, shape }: FloatArray,
  [height, width]: [number, number],
): FloatArray {
  const [n, h, w, c] = fourAxes(shape);
  checkSize(height, width);
  if (h < 2 || w < 2) {
    throw new Error(
      `A picture of ${w} x ${h} pixels is too small: the antialiasing mirrors it at its ` +
        'borders. Both sides need 2 pixels or more.',
    );
  }
  const across = bicubicTaps(w, width);
  const down = bicubicTaps(h, height);
  const kernelX = gaussianKernel(w, width);
  const kernelY = gaussianKernel(h, height);
  const result = new Float32Array(n * height * width * c);
  for (let i = 0; i < n; i++) {
    const picture = data.subarray(i * h * w * c, (i + 1) * h * w * c);
    const columns = blurPass(picture, h, w, c, kernelX, across.reads); // [h, across.reads, c]
    // [down.reads, across.reads, c]
    const blurred = blurPass(columns, 1, h, across.reads.length * c, kernelY, down.reads);
    interpolate(blurred, c, down, across, result.subarray(i * height * width * c));
  }
  return { data: result, shape: [n, height, width, c] };
}

/**
 * Gaussian weights in float32, as in torch; the identity when the axis is not reduced.
 */
export function gaussianKernel(from: number, to: number): Float32Array {
  const sigma = Math.max((from / to - 1) / 2, 0.001);
  const size = Math.trunc(Math.max(4 * sigma, 3)) | 1; // made odd
  const twoVariances = Math.fround(2 * Math.fround(Math.fround(sigma) ** 2));
  const kernel = Float32Array.from({ length: size }, (_, i) =>
    Math.exp(-Math.fround((i - (size >> 1)) ** 2 / twoVariances)),
  );
  const total = Math.fround(kernel.reduce((sum, value) => sum + value, 0));
  return kernel.map((value) => value / total);
}

/**
 * Blurs the middle axis of `[outer, length, inner]` at the positions in `reads`. The axis is
 * mirrored at its ends, which are not repeated.
 */
function blurPass(
  data: Float32Array,
  outer: number,
  length: number,
  inner: number,
  kernel: Float32Array,
  reads: number[],
): Float32Array {
  const taps = kernel.length;
  const reach = taps >> 1;
  const sources = reads.map((position) =>
    Int32Array.from(kernel, (_, k) => inner * mirror(position + k - reach, length)),
  );
  const result = new Float32Array(outer * reads.length * inner);
  for (let o = 0, to = 0; o < outer; o++) {
    for (const source of sources) {
      const base = o * length * inner;
      for (let i = 0; i < inner; i++) {
        let sum = 0;
        for (let k = 0; k < taps; k++) sum += data[base + source[k]! + i]! * kernel[k]!;
        result[to++] = sum;
      }
    }
  }
  return result;
}

function mirror(index: number, length: number): number {
  const positive = Math.abs(index);
  return positive < length ? positive : 2 * (length - 1) - positive;
}

/**
 * The cubic weights of each output value, and the inputs that they apply to, as indices into
 * `reads`.
 */
interface BicubicTaps {
  reads: number[];
  taps: number[][];
  weights: number[][];
}

function bicubicTaps(from: number, to: number): BicubicTaps {
  // Coordinates are float32 in torch. At a few thousand pixels their rounding shows in the weights.
  const scale = to > 1 ? Math.fround((from - 1) / (to - 1)) : 0;
  const places = Array.from({ length: to }, (_, i) => {
    const position = Math.fround(scale * i);
    const base = Math.min(Math.floor(position), from - 1);
    const inputs = [-1, 0, 1, 2].map((offset) => Math.min(Math.max(base + offset, 0), from - 1));
    return { inputs, weights: cubicWeights(Math.min(position - base, 1)) };
  });
  const reads = [...new Set(places.flatMap(({ inputs }) => inputs))].sort((a, b) => a - b);
  const order = new Map(reads.map((read, i) => [read, i]));
  return {
    reads,
    taps: places.map(({ inputs }) => inputs.map((i) => order.get(i)!)),
    weights: places.map(({ weights }) => weights),
  };
}

/** Keys' cubic convolution with a = -0.75 at distances 1 + t, t, 1 - t and 2 - t. */
function cubicWeights(t: number): number[] {
  const a = -0.75;
  const inner = (d: number) => ((a + 2) * d - (a + 3)) * d * d + 1;
  const outer = (d: number) => ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
  return [outer(1 + t), inner(t), inner(1 - t), outer(2 - t)];
}

function interpolate(
  data: Float32Array,
  c: number,
  down: BicubicTaps,
  across: BicubicTaps,
  result: Float32Array,
): void {
  const row = across.reads.length * c;
  let to = 0;
  down.taps.forEach((rows, y) => {
    across.taps.forEach((columns, x) => {
      for (let k = 0; k < c; k++) {
        let sum = 0;
        for (let j = 0; j < 4; j++) {
          let line = 0;
          for (let i = 0; i < 4; i++)
            line += data[rows[j]! * row + columns[i]! * c + k]! * across.weights[x]![i]!;
          sum += line * down.weights[y]![j]!;
        }
        result[to++] = sum;
      }
    });
  });
}

function fourAxes(shape: number[]): [number, number, number, number] {
  if (shape.length !== 4)
    throw new Error(
      `Pictures have to be an array of shape [N, H, W, C] but its shape is [${shape.join(', ')}].`,
    );
  return shape as [number, number, number, number];
}

function checkSize(height: number, width: number): void {
  if (!Number.isInteger(height) || !Number.isInteger(width) || height < 1 || width < 1) {
    throw new Error(
      `\`height\` and \`width\` have to be positive integers but are ${height} and ${width}.`,
    );
  }
}
