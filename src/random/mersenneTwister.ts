/**
 * The 32-bit Mersenne Twister (Matsumoto and Nishimura 1998) as PyTorch's CPU generator seeds and
 * reads it (`ATen/core/MT19937RNGEngine.h`).
 */

/** Words of the state. */
export const SIZE = 624;
const SHIFT = 397;

/** A stream of uniform 32-bit integers. */
export class MersenneTwister {
  /** The state, of which the first `position` words have been drawn. */
  readonly words = new Uint32Array(SIZE);
  position = SIZE;

  /** @param seed Any integer in 32 bits. */
  constructor(seed: number) {
    this.words[0] = seed;
    for (let i = 1; i < SIZE; i++) {
      const before = this.words[i - 1]! ^ (this.words[i - 1]! >>> 30);
      this.words[i] = Math.imul(1812433253, before) + i;
    }
  }

  /** A stream in a given state. */
  static from(words: Uint32Array, position: number): MersenneTwister {
    const engine = new MersenneTwister(0);
    engine.words.set(words);
    engine.position = position;
    return engine;
  }

  /** The next integer in [0, 2^32). */
  next(): number {
    if (this.position === SIZE) this.refill();
    let y = this.words[this.position++]!;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  private refill(): void {
    const { words } = this;
    for (let i = 0; i < SIZE; i++) {
      const mixed = (words[i]! & 0x80000000) | (words[(i + 1) % SIZE]! & 0x7fffffff);
      words[i] = words[(i + SHIFT) % SIZE]! ^ (mixed >>> 1) ^ (mixed & 1 ? 0x9908b0df : 0);
    }
    this.position = 0;
  }
}
