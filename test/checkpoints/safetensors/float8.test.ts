/** Every value of the 8-bit float types, as torch widens it. */
import { expect } from 'chai';
import { openSafetensors } from '../../../src/checkpoints/safetensors/file.ts';
import { bits, fixture } from '../files.ts';

/** With every not-a-number replaced by one, because no library promises its bits. */
const canonical = (values: Float32Array) =>
  bits(values.map((value) => (Number.isNaN(value) ? Number.NaN : value)));

describe('8-bit float types', () => {
  const types = ['F8_E4M3', 'F8_E5M2', 'F8_E4M3FNUZ', 'F8_E5M2FNUZ', 'F8_E8M0'];
  for (const type of types) {
    it(`widens all 256 codes of ${type} as torch does`, async () => {
      const file = await openSafetensors(fixture('float8.safetensors'));
      expect(file.info(type)).to.deep.equal({ dtype: type, shape: [256], bytes: 256 });
      const [found, expected] = [await file.read(type), await file.read(`${type}.f32`)];
      expect(canonical(found)).to.deep.equal(canonical(expected));
      await file.close();
    });
  }
});
