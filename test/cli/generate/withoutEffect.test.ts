import { expect } from 'chai';
import { withoutEffect } from '../../../src/cli/generate/withoutEffect.ts';
import { readGenerateCommand } from './readCommand.ts';

describe('withoutEffect', () => {
  const wasm = { name: 'wasm', package: '', available: true } as const;
  const tensorflow = { ...wasm, name: 'tensorflow', device: 'Intel Xeon' } as const;
  const webgpu = { ...wasm, name: 'webgpu' } as const;
  const notes = (args: string[], backend: typeof wasm | typeof tensorflow | typeof webgpu = wasm) =>
    withoutEffect(readGenerateCommand(['a.png', ...args]), backend);

  it('is silent where options have an effect', () => {
    expect(notes(['-o', 'a.mp4'])).to.deep.equal([]);
    expect(notes(['-o', 'a.mp4', '--fps', '9', '--steps', '2', '--threads', '1'])).to.deep.equal(
      [],
    );
    expect(notes(['-o', 'a.safetensors', '--output-type', 'latent'])).to.deep.equal([]);
  });

  it('knows the backends that hold half precision', () => {
    for (const backend of [tensorflow, webgpu])
      expect(notes(['--weight-dtype', 'float32'], backend)).to.deep.equal([]);
  });

  const cases: [args: string[], note: string][] = [
    [['--sigmas', '7,0', '--steps', '4'], '--num-inference-steps has no effect: --sigmas says the'],
    [['--max-guidance-scale', '1', '--guidance-together', 'no'], '--guidance-together has no'],
    [['--max-guidance-scale', '1', '--guidance-interval', '0,1'], '--guidance-interval has no'],
    [['--deep-cache', '1'], '--deep-cache has no effect: every step runs in full'],
    [['--frames', '1', '--max-guidance-scale', '4'], '--max-guidance-scale has no effect: it'],
    [['-o', 'a.safetensors', '--output-type', 'latent', '--decode-chunk-size', '2'], 'latents are'],
    [['-o', 'a/', '--fps', '9'], '--fps has no effect but on the motion: png has no rate'],
    [['-o', 'a/', '--quality', '20'], '--quality has no effect: png loses nothing'],
    [['-o', 'a.mp4', '--output-type', 'array'], '--output-type has no effect'],
    [['--weight-dtype', 'float32'], '--weight-dtype has no effect: the backend is wasm'],
    [['--tf32'], '--tf32 has no effect: the backend does not run on an NVIDIA card'],
  ];
  for (const [args, note] of cases)
    it(`tells of ${args.join(' ')}`, () => {
      const found = notes(args);
      expect(found).to.have.length(1);
      expect(found[0]).to.contain(note);
    });

  it('tells of threads on other backends', () => {
    expect(notes(['--threads', '2'], tensorflow)).to.deep.equal([
      '--threads has no effect: the backend is tensorflow',
    ]);
  });
});
