/** Quantiles of the beta distribution in double precision (`scipy.stats.beta.ppf`). */

/**
 * The integral of `t^(a - 1) (1 - t)^(b - 1)` from 0 to `x <= 0.5`, by its power series in `x`
 * (Abramowitz and Stegun 26.5.4 with the factor `(1 - t)^(b - 1)` expanded).
 */
function incompleteBeta(x: number, a: number, b: number): number {
  let coefficient = 1;
  let sum = 1 / a;
  for (let n = 1; ; n++) {
    coefficient *= ((n - b) / n) * x;
    const next = sum + coefficient / (a + n);
    if (next === sum) return x ** a * sum;
    sum = next;
  }
}

/**
 * The `x` in [0, 0.5] at which `incompleteBeta` reaches `target`, to the last bit, by bisection.
 */
function solve(target: number, a: number, b: number): number {
  if (target === 0) return 0; // where powers of x underflow, bisection would stop earlier
  let [low, high] = [0, 0.5];
  for (;;) {
    const middle = (low + high) / 2;
    if (middle === low || middle === high) return low;
    if (incompleteBeta(middle, a, b) <= target) low = middle;
    else high = middle;
  }
}

/**
 * The value below which a share `p` of the beta distribution lies.
 * @param p Probability in [0, 1].
 * @param a First shape parameter, positive.
 * @param b Second shape parameter, positive.
 * @returns A value in [0, 1], to about 15 digits.
 */
export function betaPpf(p: number, a: number, b: number): number {
  const lowerHalf = incompleteBeta(0.5, a, b);
  const whole = lowerHalf + incompleteBeta(0.5, b, a);
  // The series computes the lower half. The upper half is that of the mirrored distribution.
  return p * whole <= lowerHalf ? solve(p * whole, a, b) : 1 - solve((1 - p) * whole, b, a);
}
