/** `svd generate` on checkpoints whose values are not finite, and at sizes that no memory holds. */
import { cp, readdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { writeSafetensors } from '../../../src/checkpoints/index.ts';
import { testBackend } from '../../setup.ts';
import { onTestBackend, picture, readTensors, svd, workFolder } from '../runs.ts';

const shipped = fileURLToPath(new URL('../../../weights/tiny', import.meta.url));
const VAE = 'vae/diffusion_pytorch_model.safetensors';

describe('svd generate with what cannot work @slow', () => {
  let folder: Awaited<ReturnType<typeof workFolder>>;
  before(async () => {
    folder = await workFolder();
  });
  after(() => folder.remove());

  /** A copy of the shipped checkpoint whose values of one weight of the VAE are changed. */
  async function variant(name: string, key: string, change: (value: number) => number) {
    const model = folder.path(name);
    await cp(shipped, model, { recursive: true });
    const { tensors } = await readTensors(`${model}/${VAE}`);
    tensors[key]!.data = tensors[key]!.data.map(change);
    const entries = Object.entries(tensors).map(([weight, { data, shape }]) => [
      ...[weight, { dtype: 'F32', data, shape }],
    ]);
    await writeSafetensors(`${model}/${VAE}`, Object.fromEntries(entries));
    return model;
  }

  const run = (model: string, output: string, ...args: string[]) =>
    svd(
      ...['generate', picture('rocket.jpg'), '--model', model, '--output', folder.path(output)],
      ...[...onTestBackend, '--height', '32', '--width', '32', '--num-frames', '2'],
      ...['--num-inference-steps', '1', '--seed', '-1', ...args],
    );

  it('ends with 1 where the decoder is not finite, and writes nothing', async () => {
    const model = await variant('nan-decoder', 'decoder.conv_out.bias', () => Number.NaN);
    for (const output of ['clip.mp4', 'clip.safetensors']) {
      const { code, stdout, stderr } = await run(model, output);
      expect([code, stdout]).to.deep.equal([1, '']);
      expect(stderr).to.include('The frames are not finite. The weight decoder.conv_out.bias of');
    }
    expect(
      (await readdir(folder.path('.'))).filter((name) => name.startsWith('clip')),
    ).to.deep.equal([]);
  });

  if (testBackend === 'tensorflow') {
    it('names the way out where only float16 overflows', async () => {
      const model = await variant('overflow', 'decoder.conv_in.weight', (value) => 1e5 * value);
      const { code, stderr } = await run(model, 'half.mp4', '--dtype', 'float16');
      expect(code).to.equal(1);
      expect(stderr).to.include('The frames are not finite. float16 ends at 65504: use bfloat16');
      for (const dtype of ['bfloat16', 'float32'])
        expect((await run(model, `${dtype}.mp4`, '--dtype', dtype)).code).to.equal(0);
    });
  }

  it('stores seeds of 64 bits exactly', async () => {
    const wide = await svd(
      ...['generate', picture('rocket.jpg'), '--output', folder.path('wide.safetensors')],
      ...['--num-frames', '1', '--num-inference-steps', '1', '--json', ...onTestBackend],
      ...['--seed', '18446744073709551615', '--output-type', 'latent'],
    );
    expect(JSON.parse(wide.stdout).settings.seeds).to.deep.equal(['18446744073709551615']);
    // All 32 bits that the generator uses are those of -1.
    const same = await svd(
      ...['generate', picture('rocket.jpg'), '--output', folder.path('same.safetensors')],
      ...['--num-frames', '1', '--num-inference-steps', '1', ...onTestBackend],
      ...['--seed', '-1', '--output-type', 'latent'],
    );
    expect(same.code).to.equal(0);
    const [a, b] = await Promise.all(
      ['wide', 'same'].map((name) => readTensors(folder.path(`${name}.safetensors`))),
    );
    expect(a!.tensors).to.deep.equal(b!.tensors);
  });

  it('refuses 100,000 frames', async () => {
    const { code, stderr } = await svd(
      ...['generate', picture('rocket.jpg'), '--output', folder.path('long.mp4')],
      ...['--num-frames', '100000', '--memory', '4', ...onTestBackend],
    );
    expect(code).to.equal(1);
    expect(stderr).to.include('100000 frames of 64x64 do not fit into memory');
  });
});
