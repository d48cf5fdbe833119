/**
 * Random numbers equal to those of `torch.Generator('cpu')` and `torch.randn`, so that a diffusers
 * user's seed makes the same video.
 */
import { normalFill } from './boxMuller.ts';
import { type GeneratorParts, packState, unpackState } from './generatorState.ts';
import { MersenneTwister } from './mersenneTwister.ts';

const LOWEST_SEED = -(2n ** 63n);
const HIGHEST_SEED = 2n ** 64n - 1n;

/**
 * The seed as the unsigned 64-bit integer that torch makes of it.
 * @throws When it is not an integer in torch's range.
 */
function toUint64(seed: number | bigint): bigint {
  const integer = typeof seed === 'bigint' || Number.isInteger(seed);
  if (!integer || BigInt(seed) < LOWEST_SEED || BigInt(seed) > HIGHEST_SEED) {
    throw new Error(
      `\`seed\` has to be a whole number from -2^63 to 2^64 - 1 but is ${seed}. Numbers above ` +
        '2^53 are exact only as bigint.',
    );
  }
  return BigInt.asUintN(64, BigInt(seed));
}

/** A seed that differs from call to call: 53 random bits. */
function randomSeed(): bigint {
  const [high, low] = crypto.getRandomValues(new Uint32Array(2)) as Uint32Array & [number, number];
  return BigInt((high & 0x1fffff) * 2 ** 32 + low);
}

/**
 * A seeded source of normal numbers. Equal seeds and equal sequences of `randn` calls draw the
 * numbers of `torch.randn(shape, generator=g)` with `g = torch.Generator('cpu').manual_seed(seed)`:
 * bit for bit those of an x86 processor for 16 or more values, and those of double precision
 * arithmetic, rounded, for fewer.
 */
export class Generator {
  // Box-Muller makes two numbers. Calls with fewer than 16 values keep the odd one for the next
  // such call.
  private parts: GeneratorParts;

  /**
   * @param seed A whole number from -2^63 to 2^64 - 1; only the lowest 32 bits count, as in torch.
   * Default: a random one.
   * @throws When the seed is not such a number.
   */
  constructor(seed: number | bigint = randomSeed()) {
    const initial = toUint64(seed);
    const engine = new MersenneTwister(Number(initial & 0xffffffffn));
    this.parts = { seed: initial, engine, spare: null };
  }

  /** The seed as an unsigned 64-bit integer, as `torch.Generator.initial_seed()` returns it. */
  get initialSeed(): bigint {
    return this.parts.seed;
  }

  /**
   * The state, in the 5,056 bytes that `torch.Generator('cpu').get_state()` returns: what is drawn
   * next depends on nothing else.
   */
  getState(): Uint8Array {
    return packState(this.parts);
  }

  /**
   * Takes a state of `getState`, or the bytes of torch's, with its seed. Returns this generator.
   * @throws Error if it is not such a state.
   */
  setState(state: Uint8Array): this {
    this.parts = unpackState(state);
    return this;
  }

  /**
   * Draws standard normal numbers, as `torch.randn(shape, generator=this)` does, in row-major
   * order. As in torch, a call for fewer than 16 numbers uses another formula than a call for more,
   * so the grouping of draws into calls matters.
   * @throws When `shape` holds anything but non-negative whole numbers.
   */
  randn(shape: readonly number[]): Float32Array {
    if (!shape.every((size) => Number.isInteger(size) && size >= 0)) {
      throw new Error(
        `\`shape\` has to hold whole numbers of at least 0 but is [${shape.join(', ')}].`,
      );
    }
    const values = new Float32Array(shape.reduce((product, size) => product * size, 1));
    const { engine } = this.parts;
    if (values.length >= 16) normalFill(values, () => (engine.next() & 0xffffff) / 2 ** 24);
    else for (let i = 0; i < values.length; i++) values[i] = this.normal();
    return values;
  }

  /** A generator in the same state, which from now on draws independently of this one. */
  clone(): Generator {
    return new Generator(0).setState(this.getState());
  }

  /** One normal number in double precision. */
  private normal(): number {
    const { spare } = this.parts;
    if (spare !== null) {
      this.parts.spare = null;
      return spare;
    }
    const theta = 2 * Math.PI * this.uniform53();
    const radius = Math.sqrt(-2 * Math.log1p(-this.uniform53()));
    this.parts.spare = radius * Math.sin(theta);
    return radius * Math.cos(theta);
  }

  /**
   * One number in [0, 1) of 53 random bits: the low 21 bits of the first draw above the whole
   * second one.
   */
  private uniform53(): number {
    const { engine } = this.parts;
    const high = engine.next() & 0x1fffff;
    return (high * 2 ** 32 + engine.next()) / 2 ** 53;
  }
}
