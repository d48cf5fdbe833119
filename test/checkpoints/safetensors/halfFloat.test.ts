import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import {
  halves,
  toBF16,
  toF16,
  widenBF16,
  widenF16,
} from '../../../src/checkpoints/safetensors/halfFloat.ts';
import { fixture } from '../files.ts';

/** Digests of what torch converts these values to (test/reference/checkpoint_safetensors.py). */
const expected: Record<string, string> = JSON.parse(readFileSync(fixture('half.json'), 'utf8'));

function sha256(values: ArrayBufferView): string {
  return createHash('sha256')
    .update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
    .digest('hex');
}

/** All 65,536 halves as float32. */
function widened(widen: (values: Float32Array) => void): Float32Array {
  const values = new Float32Array(65536);
  halves(values).forEach((_, i, all) => {
    all[i] = i;
  });
  widen(values);
  return values;
}

/** The float32 bit patterns that the reference script makes. */
function patterns(near: Float32Array, unit: number): Float32Array {
  const spread = Uint32Array.from({ length: 2 ** 20 }, (_, i) => (i * 4099) % 2 ** 32);
  const nearBits = new Uint32Array(near.buffer);
  const parts = [-1, 1, unit / 2 - 1, unit / 2, unit / 2 + 1].map((distance) =>
    nearBits.map((value) => value + distance),
  );
  return new Float32Array(Uint32Array.from([spread, ...parts].flatMap((part) => [...part])).buffer);
}

/** A copy with every not-a-number replaced by one. */
function canonical(values: Float32Array): Float32Array {
  return values.map((value) => (Number.isNaN(value) ? Number.NaN : value));
}

describe('half-precision types', () => {
  it('widens every binary16 as torch does', () => {
    expect(sha256(canonical(widened(widenF16)))).to.equal(expected.widenF16);
  });

  it('widens every bfloat16 as torch does', () => {
    expect(sha256(canonical(widened(widenBF16)))).to.equal(expected.widenBF16);
  });

  it('rounds 1.3 million float32 values to binary16 as torch does', () => {
    expect(sha256(toF16(patterns(widened(widenF16), 2 ** 13)))).to.equal(expected.toF16);
  });

  it('rounds 1.3 million float32 values to bfloat16 as torch does', () => {
    expect(sha256(toBF16(patterns(widened(widenBF16), 2 ** 16)))).to.equal(expected.toBF16);
  });

  it('converts views into the middle of a buffer', () => {
    const whole = Float32Array.of(9, 1, -2, 0.5, 9);
    expect([...toF16(whole.subarray(1, 4))]).to.deep.equal([0x3c00, 0xc000, 0x3800]);
    const view = whole.subarray(1, 4);
    halves(view).set([0x3c00, 0xc000, 0x3800]);
    widenF16(view);
    expect([...whole]).to.deep.equal([9, 1, -2, 0.5, 9]);
  });
});
