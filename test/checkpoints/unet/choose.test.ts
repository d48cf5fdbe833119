/** Which file of a folder or repository is the UNet. */
import { expect } from 'chai';
import { chooseUnet } from '../../../src/checkpoints/unet/choose.ts';
import { expectError } from '../files.ts';

const STEM = 'diffusion_pytorch_model';
const xt = ['AnimateLCM-SVD-xt.safetensors', 'AnimateLCM-SVD-xt-1.1.safetensors'];

describe('chooseUnet', () => {
  const choose = (paths: string[], path = '', variant?: string) =>
    chooseUnet({ label: 'org/name', paths: ['README.md', ...paths] }, path, variant);

  it('takes the file that is named, the folder unet, diffusers names, or the only one', () => {
    expect(choose(xt, xt[1])).to.equal(xt[1]);
    expect(choose([`unet/${STEM}.safetensors`, 'svd_xt.safetensors'])).to.equal(
      `unet/${STEM}.safetensors`,
    );
    expect(choose(['unet/config.json', `${STEM}.safetensors`])).to.equal(`${STEM}.safetensors`);
    expect(choose([xt[0]])).to.equal(xt[0]);
    expect(choose(['a/b/lcm.safetensors', 'lora.bin'])).to.equal('a/b/lcm.safetensors');
    expect(choose([`unet_lcm/${STEM}.safetensors`, ...xt], 'unet_lcm')).to.equal(
      `unet_lcm/${STEM}.safetensors`,
    );
    expect(choose([`a/unet/${STEM}.safetensors`], 'a')).to.equal(`a/unet/${STEM}.safetensors`);
  });

  it('takes the index of shards, and no shard', () => {
    const shards = ['lcm-00001-of-00002.safetensors', 'lcm-00002-of-00002.safetensors'];
    expect(choose([...shards, 'lcm.safetensors.index.json'])).to.equal(
      'lcm.safetensors.index.json',
    );
    const index = `${STEM}.safetensors.index.fp16.json`;
    expect(choose([`${STEM}.fp16-00001-of-00001.safetensors`, index])).to.equal(index);
  });

  it('takes the variant where it is, then files without one, then the only variant', () => {
    const [plain, fp16] = [`unet/${STEM}.safetensors`, `unet/${STEM}.fp16.safetensors`];
    expect(choose([plain, fp16], '', 'fp16')).to.equal(fp16);
    expect(choose([plain, fp16])).to.equal(plain);
    expect(choose([plain], '', 'fp16')).to.equal(plain);
    expect(choose([fp16])).to.equal(fp16);
    expect(choose([fp16], '', 'bf16')).to.equal(fp16);
  });

  it('says which there are', async () => {
    await expectError(
      () => choose([...xt, `unet_lcm/${STEM}.fp16.safetensors`]),
      `org/name has several files of weights: ${xt.join(', ')}, unet_lcm. Name one of them, such ` +
        `as org/name/${xt[0]}.`,
    );
    await expectError(
      () => choose(['fp16', 'bf16'].map((name) => `unet/${STEM}.${name}.safetensors`)),
      'The UNet in org/name has the variants bf16, fp16.',
    );
    await expectError(
      () => choose(xt, 'AnimateLCM.safetensors'),
      `org/name has no AnimateLCM.safetensors: it has ${xt.join(', ')}.`,
    );
    await expectError(() => choose([]), 'org/name has no UNet: it has no weights in .safetensors');
    for (const name of [`${STEM}-00001-of-00002`, `${STEM}-00001-of-00002.fp16`])
      await expectError(
        () => choose([`unet/${name}.safetensors`]),
        `org/name has no UNet: it has unet/${name}.safetensors, but not the ` +
          '.safetensors.index.json of these shards.',
      );
    await expectError(() => choose(['lcm.ckpt']), 'org/name/lcm.ckpt is a pickle file of PyTorch');
  });
});
