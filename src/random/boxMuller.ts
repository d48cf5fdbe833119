/**
 * Normal float32 numbers from uniform ones, with every rounding of PyTorch on x86
 * (`normal_fill_16_AVX2` in `ATen/native/cpu/DistributionTemplates.h`): Box-Muller over the Cephes
 * polynomials for log, sine and cosine.
 */

const f32 = Math.fround;

/**
 * `a * b + c` with one rounding, as the processor's fused multiply-add: the product of two float32
 * numbers is exact in float64.
 */
const fma = (a: number, b: number, c: number): number => f32(a * b + c);

const LOG = [
  7.0376836292e-2, -1.151461031e-1, 1.167699874e-1, -1.2420140846e-1, 1.4249322787e-1,
  -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
].map(f32);
const LN2_LOW = f32(-2.1219444e-4);
const LN2_HIGH = f32(0.693359375);
const SQRT_HALF = f32(Math.SQRT1_2);

const [COS0, COS1, COS2] = [2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2].map(
  f32,
) as [number, number, number];
const [SIN0, SIN1, SIN2] = [-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1].map(f32) as [
  number,
  number,
  number,
];
// pi / 4 in three parts, so that its multiples are subtracted without loss.
const [PI1, PI2, PI3] = [-0.78515625, -2.4187564849853516e-4, -3.774894977445941e-8].map(f32) as [
  number,
  number,
  number,
];
const FOUR_OVER_PI = f32(1.27323954473516);
const TWO_PI = f32(2 * Math.PI);

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** Natural logarithm of a float32 number in (0, 1]. */
function log(value: number): number {
  float[0] = value;
  let exponent = (bits[0]! >>> 23) - 126;
  bits[0] = (bits[0]! & 0x007fffff) | 0x3f000000; // the mantissa, in [0.5, 1)
  let x = float[0]!;
  if (x < SQRT_HALF) {
    exponent -= 1;
    x = f32(f32(x - 1) + x);
  } else {
    x = f32(x - 1);
  }
  const z = f32(x * x);
  let y = LOG[0]!;
  for (let i = 1; i < LOG.length; i++) y = fma(y, x, LOG[i]!);
  y = fma(f32(y * x), z, f32(exponent * LN2_LOW));
  y = f32(y - f32(z * 0.5));
  return fma(exponent, LN2_HIGH, f32(x + y));
}

/** Turns 16 uniform numbers in [0, 1), from `start`, into 16 independent normal ones. */
function normalFill16(data: Float32Array, start: number): void {
  for (let j = start; j < start + 8; j++) {
    const radius = f32(Math.sqrt(f32(-2 * log(f32(1 - data[j]!)))));
    const theta = f32(TWO_PI * data[j + 8]!);

    const octant = (Math.trunc(f32(theta * FOUR_OVER_PI)) + 1) & ~1;
    const x = fma(octant, PI3, fma(octant, PI2, fma(octant, PI1, theta))); // in [-pi/4, pi/4]
    const z = f32(x * x);
    const cosPolynomial = fma(fma(COS0, z, COS1), z, COS2);
    const near1 = f32(fma(f32(cosPolynomial * z), z, -f32(z * 0.5)) + 1);
    const near0 = fma(f32(fma(fma(SIN0, z, SIN1), z, SIN2) * z), x, x);

    const swap = (octant & 2) !== 0;
    const sin = (octant & 4 ? -1 : 1) * (swap ? near1 : near0);
    const cos = ((octant + 2) & 4 ? -1 : 1) * (swap ? near0 : near1);
    data[j] = radius * cos;
    data[j + 8] = radius * sin;
  }
}

/**
 * Fills `data`, of at least 16 values, with standard normal numbers in PyTorch's order of draws.
 * @param uniform Draws one float32 number in [0, 1).
 */
export function normalFill(data: Float32Array, uniform: () => number): void {
  const size = data.length;
  for (let i = 0; i < size; i++) data[i] = uniform();
  for (let i = 0; i + 16 <= size; i += 16) normalFill16(data, i);
  if (size % 16 !== 0) {
    for (let i = size - 16; i < size; i++) data[i] = uniform();
    normalFill16(data, size - 16);
  }
}
