/**
 * The dumps of `svd generate` against the stage tensors of diffusers: 1e-4 relative L2, as for the
 * pipeline itself.
 */
import { expect } from 'chai';
import { writeSafetensors } from '../../../src/checkpoints/index.ts';
import { readFixture, relativeL2 } from '../../harness/fixtures.ts';
import { writeCheckpoint } from '../checkpoint.ts';
import { componentsOf, generate, picture, readTensors, workFolder } from '../runs.ts';

const TOLERANCE = 1e-4;
const cases = [
  'conditioning',
  'given-latents',
  'latent-output',
  'tensor-image',
  'two-images-two-generators',
];

describe('svd generate --dump against diffusers', () => {
  let folder: Awaited<ReturnType<typeof workFolder>>;
  before(async () => {
    folder = await workFolder();
  });
  after(() => folder.remove());

  for (const name of cases) {
    it(name, async () => {
      const { metadata, tensors } = await readFixture('pipelines', `${name}.safetensors`);
      const { images, image, seeds, latents, output_type, ...options } = JSON.parse(metadata.args);
      const path = (file: string) => folder.path(`${name}-${file}`);
      const file = async (key: string) => {
        const { data, shape } = tensors[`input.${key}`];
        await writeSafetensors(path(`${key}.safetensors`), {
          [key]: { dtype: 'F32', data, shape },
        });
        return path(`${key}.safetensors`);
      };
      const args = image ? [await file('image')] : images.map(picture);
      for (const seed of seeds) args.push('--seed', `${seed}`);
      if (latents) args.push('--latents', await file('latents'));
      if (output_type) args.push('--output-type', output_type);
      for (const [option, value] of Object.entries(options))
        args.push(`--${option.replaceAll('_', '-')}`, `${value}`);
      await writeCheckpoint(path('model'), await componentsOf(name));
      args.push('--model', path('model'));
      args.push('--output', path('out.safetensors'), '--dump', path('dump.safetensors'));

      await generate(args);
      const dump = await readTensors(path('dump.safetensors'));
      const output = await readTensors(path('out.safetensors'));
      const { latents: finalLatents, ...stages } = tensors;
      const expected = Object.entries(stages).filter(([key]) => !key.startsWith('input.'));
      expect(Object.keys(dump.tensors)).to.have.members(expected.map(([key]) => key));
      const pairs = expected.map(([key, tensor]) => ({
        key,
        ours: dump.tensors[key],
        theirs: tensor,
      }));
      pairs.push({
        key: 'latents of the output',
        ours: output.tensors.latents,
        theirs: finalLatents,
      });
      if (stages.frames)
        pairs.push({
          key: 'frames of the output',
          ours: output.tensors.frames,
          theirs: stages.frames,
        });
      else expect(Object.keys(output.tensors)).to.deep.equal(['latents']);
      for (const { key, ours, theirs } of pairs) {
        expect(ours.shape, `shape of ${key}`).to.deep.equal(theirs.shape);
        expect(relativeL2(ours.data, theirs.data), key).to.be.at.most(TOLERANCE);
      }
      expect(JSON.parse(dump.metadata.args)).to.deep.include({ ...options, seeds });
    });
  }
});
