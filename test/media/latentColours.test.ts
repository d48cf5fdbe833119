import { expect } from 'chai';
import { fitLatentColours } from '../../src/media/latentColours.ts';

/** Latents `[1, 4, 5, 4]` that no plane of three dimensions holds. */
const latents = {
  data: Float32Array.from({ length: 80 }, (_, i) => Math.sin(i * i)),
  shape: [1, 4, 5, 4],
};

describe('fitLatentColours', () => {
  it('finds the map by which a picture was made of its latents, and uses it on others', () => {
    const byte = (values: ArrayLike<number>, pixel: number, c: number) =>
      Math.round(128 + 40 * values[4 * pixel + c]! - 20 * values[4 * pixel + 3]! + 10 * c);
    const painted = (values: ArrayLike<number>) =>
      Uint8Array.from({ length: 60 }, (_, i) => byte(values, Math.floor(i / 3), i % 3));
    const colours = fitLatentColours({ width: 5, height: 4, data: painted(latents.data) }, latents);
    const others = latents.data.map((value, i) => Math.cos(value + i));
    const [one, two] = colours({
      data: Float32Array.of(...latents.data, ...others),
      shape: [2, 4, 5, 4],
    });
    expect([one!.width, one!.height]).to.deep.equal([5, 4]);
    for (const [picture, values] of [
      [one, latents.data],
      [two, others],
    ] as const)
      for (const [i, value] of painted(values).entries())
        expect(picture!.data[i]).to.be.closeTo(value, 3);
  });

  it('gives a plain picture its colour, and latents without any variance too', () => {
    const data = Uint8Array.from({ length: 60 }, (_, i) => [200, 100, 50][i % 3]!);
    for (const values of [latents.data, new Float32Array(80)]) {
      const [picture] = fitLatentColours(
        { width: 5, height: 4, data },
        { ...latents, data: values },
      )(latents);
      for (const [i, value] of picture!.data.entries()) expect(value).to.be.closeTo(data[i]!, 1);
    }
  });
});
