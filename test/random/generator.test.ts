import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { Generator } from '../../src/random/generator.ts';

const fixture = JSON.parse(
  readFileSync(new URL('../fixtures/random/torch-randn.json', import.meta.url), 'utf8'),
);

/** The float32 numbers of a base64 string. */
function floats(base64: string): Float32Array {
  return new Float32Array(new Uint8Array(Buffer.from(base64, 'base64')).buffer);
}

/** The sum of the numbers' bit patterns as signed integers. */
function checksum(values: Float32Array): bigint {
  return new Int32Array(values.buffer).reduce((sum, bits) => sum + BigInt(bits), 0n);
}

describe('Generator', () => {
  for (const { seed, initialSeed, small, large } of fixture.seeds) {
    it(`draws torch's numbers from seed ${seed}`, () => {
      expect(new Generator(BigInt(seed)).initialSeed).to.equal(BigInt(initialSeed));
      expect(new Generator(BigInt(seed)).randn([5])).to.deep.equal(floats(small));
      expect(new Generator(BigInt(seed)).randn([24])).to.deep.equal(floats(large));
    });
  }

  it('takes seeds as numbers too', () => {
    const numbers = fixture.seeds.filter(({ seed }: { seed: string }) =>
      Number.isSafeInteger(Number(seed)),
    );
    expect(numbers).to.have.length.above(4);
    for (const { seed, initialSeed, large } of numbers) {
      const generator = new Generator(Number(seed));
      expect(generator.initialSeed).to.equal(BigInt(initialSeed));
      expect(generator.randn([24])).to.deep.equal(floats(large));
    }
  });

  it("draws torch's numbers for every length from 1 to 40", () => {
    fixture.lengths.forEach((values: string, i: number) => {
      expect(new Generator(1001 + i).randn([i + 1]), `length ${i + 1}`).to.deep.equal(
        floats(values),
      );
    });
  });

  for (const [name, calls] of Object.entries<{ shape: number[]; values: string; state: string }[]>(
    fixture.sequences,
  )) {
    it(`goes on as torch does: ${name}`, () => {
      const generator = new Generator(3);
      for (const { shape, values } of calls)
        expect(generator.randn(shape), `[${shape}]`).to.deep.equal(floats(values));
    });

    it(`has torch's state after each draw, and goes on from it: ${name}`, () => {
      let generator = new Generator(3);
      for (const { shape, values, state } of calls) {
        expect(generator.randn(shape), `[${shape}]`).to.deep.equal(floats(values));
        const bytes = generator.getState();
        expect(createHash('sha256').update(bytes).digest('hex')).to.equal(state);
        generator = new Generator(4).setState(bytes);
        expect(generator.initialSeed).to.equal(3n);
      }
    });
  }

  it('refuses states that are not whole', () => {
    const state = new Generator(1).getState();
    const wrong = [state.slice(1), new Uint8Array(state.length), [...state]];
    for (const one of wrong)
      expect(() => new Generator(1).setState(one as Uint8Array)).to.throw(
        "A generator's state has to be the 5056 bytes that `getState` returns.",
      );
  });

  it('equals torch in every bit of a long draw with a tail', () => {
    const expected = floats(fixture.run.values);
    expect(new Generator(fixture.run.seed).randn([expected.length])).to.deep.equal(expected);
  });

  it('equals torch in every bit of the latents of 25 frames of 576x1024', () => {
    const { seed, shape, picked, values, checksum: sum } = fixture.big;
    const drawn = new Generator(seed).randn(shape);
    expect(Float32Array.from(picked, (i: number) => drawn[i]!)).to.deep.equal(floats(values));
    expect(checksum(drawn)).to.equal(BigInt(sum));
  });

  it('draws other numbers each time without a seed', () => {
    const [a, b] = [new Generator(), new Generator()];
    expect(a.initialSeed).not.to.equal(b.initialSeed);
    expect(a.randn([20])).not.to.deep.equal(b.randn([20]));
    expect(new Generator(a.initialSeed).randn([20])).to.deep.equal(
      new Generator(Number(a.initialSeed)).randn([20]),
    );
  });

  it('is copied with its whole state', () => {
    const original = new Generator(11);
    original.randn([3]);
    const copy = original.clone();
    expect(copy.initialSeed).to.equal(11n);
    const expected = [original.randn([4]), original.randn([700])];
    expect([copy.randn([4]), copy.randn([700])]).to.deep.equal(expected);
    expect(copy.randn([2])).to.deep.equal(original.randn([2]));
  });

  it('refuses seeds that are not whole numbers of torch’s range', () => {
    for (const seed of [
      1.5,
      Number.NaN,
      Number.POSITIVE_INFINITY,
      2 ** 64,
      2n ** 64n,
      -(2n ** 63n) - 1n,
    ]) {
      expect(() => new Generator(seed), String(seed)).to.throw(
        `\`seed\` has to be a whole number from -2^63 to 2^64 - 1 but is ${seed}.`,
      );
    }
  });

  it('refuses shapes that are not valid', () => {
    expect(() => new Generator(0).randn([2, -1])).to.throw(
      '`shape` has to hold whole numbers of at least 0 but is [2, -1].',
    );
    expect(() => new Generator(0).randn([1.5])).to.throw('but is [1.5].');
  });
});
