/**
 * The 32-bit Mersenne Twister (Matsumoto and Nishimura 1998) as PyTorch's CPU generator seeds and
 * reads it (`ATen/core/MT19937RNGEngine.h`).
 */

const SIZE = 624;
const SHIFT = 397;

/** A stream of uniform 32-bit integers. */
export class MersenneTwister {
  private state = new Uint32Array(SIZE);
  private position = SIZE;

  /** @param seed Any integer in 32 bits. */
  constructor(seed: number) {
    this.state[0] = seed;
    for (let i = 1; i < SIZE; i++) {
      const before = this.state[i - 1]! ^ (this.state[i - 1]! >>> 30);
      this.state[i] = Math.imul(1812433253, before) + i;
    }
  }

  /** The next integer in [0, 2^32). */
  next(): number {
    if (this.position === SIZE) this.refill();
    let y = this.state[this.position++]!;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  /** A copy in the same state, which draws independently. */
  clone(): MersenneTwister {
    const copy = new MersenneTwister(0);
    copy.state = this.state.slice();
    copy.position = this.position;
    return copy;
  }

  private refill(): void {
    const state = this.state;
    for (let i = 0; i < SIZE; i++) {
      const mixed = (state[i]! & 0x80000000) | (state[(i + 1) % SIZE]! & 0x7fffffff);
      state[i] = state[(i + SHIFT) % SIZE]! ^ (mixed >>> 1) ^ (mixed & 1 ? 0x9908b0df : 0);
    }
    this.position = 0;
  }
}
