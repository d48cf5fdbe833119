import { expect } from 'chai';
import { openSafetensors, writeSafetensors } from '../../src/checkpoints/index.ts';
import { checkSameLoras, type Reference, readReference } from '../../src/verification/reference.ts';
import { workFolder } from '../cli/runs.ts';

describe('readReference', () => {
  it('has more than ten pictures and steps in the order of their numbers', async () => {
    const folder = await workFolder();
    const path = folder.path('reference.safetensors');
    const numbers = Array.from({ length: 12 }, (_, i) => i);
    const one = { dtype: 'F32' as const, shape: [1], data: Float32Array.of(0) };
    const videos = { dtype: 'F32' as const, shape: [12, 3], data: new Float32Array(36) };
    const noise = { ...one, shape: [12, 3, 1, 1], data: new Float32Array(36) };
    const latents = { ...one, shape: [12, 1, 1, 1, 1], data: new Float32Array(12) };
    const frames = { ...one, shape: [12, 1, 8, 8, 3], data: new Float32Array(12 * 192) };
    const tensors = {
      ...{ image_noise: noise, added_time_ids: videos, initial_latents: latents, frames },
      ...Object.fromEntries(numbers.map((i) => [`latents_step_${i}`, one])),
      ...Object.fromEntries(
        numbers.map((i) => [
          `input.image.${i}`,
          { dtype: 'U8' as const, shape: [1, 1, 3], data: Uint8Array.of(i, i, i) },
        ]),
      ),
    };
    const args = { num_videos_per_prompt: 1, num_frames: 1, height: 8, width: 8, seeds: [1] };
    await writeSafetensors(path, tensors, {
      args: JSON.stringify(args),
      checkpoint: JSON.stringify({ id: 'a', variant: null, files: {} }),
    });
    await using file = await openSafetensors(path).then((opened) => ({
      opened,
      [Symbol.asyncDispose]: () => opened.close(),
    }));
    const { pictures, names } = await readReference(file.opened, 'it');
    expect(pictures.map(({ data }) => data[0])).to.deep.equal(numbers);
    expect(names.filter((name) => name.startsWith('latents_step_'))).to.deep.equal(
      numbers.map((i) => `latents_step_${i}`),
    );
    await folder.remove();
  });
});

describe('checkSameLoras', () => {
  const lora = { file: 'a.safetensors', sha256: 'a', scale: 0.5 };
  const made = (...loras: Reference['loras']) => ({ loras }) as Reference;

  it('takes the same files by their content, with the same scales, in the same order', () => {
    checkSameLoras(made(), []);
    checkSameLoras(made(lora), [{ ...lora, file: 'copy.safetensors' }]);
    const other = { ...lora, sha256: 'b', scale: 1 };
    for (const loras of [[], [other], [{ ...lora, scale: 1 }], [lora, other]])
      expect(() => checkSameLoras(made(lora), loras)).to.throw(
        'The reference was made with --lora a.safetensors=0.5, but the call is ',
      );
    expect(() => checkSameLoras(made(), [lora])).to.throw(
      'The reference was made without a LoRA, but the call is with --lora a.safetensors=0.5: pass ' +
        'the same files with the same scales.',
    );
  });
});
