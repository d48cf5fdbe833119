/**
 * Versions of libtensorflow without some of the kernels that are called by name: what runs instead,
 * and that the result is the same. In separate processes, because each kernel is tried once.
 */
import { expect } from 'chai';
import { inFreshProcess } from '../../backends/freshProcess.ts';
import { relativeL2 } from '../../harness/fixtures.ts';
import { testBackend } from '../../setup.ts';

interface Outcome {
  device: string;
  /** Formulations by operation. */
  chosen: Record<string, string>;
  /** The kernels called by name that were issued, but for those that were missing. */
  issued: string[];
  /** How often one was asked for that was missing, by name and type. */
  refused: Record<string, number>;
  frames: number[];
}

/**
 * A call with the small model, on a libtensorflow that refuses the operations that `missing`
 * matches.
 */
const without = (missing: string) =>
  inFreshProcess<Outcome>(`
const ops = await import('./src/ops/index.ts');
const { deviceName } = await import('./src/ops/device.ts');
const { StableVideoDiffusionPipeline } = await import('./src/pipelines/node.ts');
const { Generator } = await import('./src/random/index.ts');
await useBackend('tensorflow');
const backend = tf.backend();
const { binding } = backend;
const issued = new Set();
const refused = {};
backend.binding = Object.create(binding, {
  executeOp: {
    value: (name, ...rest) => {
      if (/${missing}/.test(name)) {
        const type = rest[0].find((attribute) => attribute.name === 'T')?.value;
        const asked = name + ' ' + type;
        refused[asked] = (refused[asked] ?? 0) + 1;
        throw new Error('Op type not registered ' + name);
      }
      if (/^_Mkl|^(SoftplusGrad|EuclideanNorm|Erfc)$/.test(name)) issued.add(name);
      return binding.executeOp(name, ...rest);
    },
  },
});
const pipe = await StableVideoDiffusionPipeline.fromPretrained('weights/tiny', { backend: 'tensorflow' });
const image = { width: 20, height: 12, data: Uint8Array.from({ length: 720 }, (_, i) => (i * 7919) % 256) };
const options = { height: 32, width: 32, numFrames: 2, numInferenceSteps: 2, generator: new Generator(1), outputType: 'array' };
const { frames } = await pipe.generate(image, options);
const formulations = {
  attention: ops.attend, channelMean: ops.channelMean, channelMeanSquare: ops.channelMeanSquare, conv2d: ops.conv2dFormulations,
  layerNorm: ops.layerNormFormulations, linear: ops.linearFormulations, silu: ops.siluFormulations,
};
const chosen = Object.entries(formulations).map(([operation, all]) => {
  const one = ops.formulationOf(operation, all);
  return [operation, Object.keys(all).find((name) => all[name] === one)];
});
give({ device: deviceName(), chosen: Object.fromEntries(chosen), issued: [...issued].sort(), refused, frames: [...frames.data] });
process.exit(0);
`);

describe('libtensorflow without kernels called by name', () => {
  let all: Outcome;

  before(async function () {
    if (testBackend !== 'tensorflow') return this.skip();
    all = await without('^$');
    if (all.device !== 'tensorflow-cpu') this.skip();
  });

  it('does not hold for this one, which runs them', () => {
    expect(all.issued).to.include.members([
      '_MklBatchMatMulV2',
      '_MklLayerNorm',
      '_MklMatMul',
      '_MklNativeConv2D',
      '_MklSoftmax',
      'SoftplusGrad',
    ]);
    expect(Object.values(all.chosen)).to.not.include('plain');
    expect(all.refused).to.deep.equal({});
  });

  /** The missing kernels, and the operations that then run their plain formulations. */
  const cases: [missing: string, plain: string[]][] = [
    ['^_Mkl', ['attention', 'channelMean', 'channelMeanSquare', 'conv2d', 'layerNorm', 'linear']],
    ['^_MklSoftmax$', ['attention']],
    ['^_MklLayerNorm$', ['layerNorm']],
    ['^_MklMatMul$', ['conv2d', 'linear']],
    ['^_MklBatchMatMulV2$', ['attention', 'channelMean', 'channelMeanSquare', 'conv2d']],
    ['^_MklNativeConv2DWithBias$', ['conv2d']],
    ['^(SoftplusGrad|EuclideanNorm|Erfc)$', ['channelMeanSquare', 'layerNorm', 'silu']],
    [
      '^(_Mkl.*|SoftplusGrad|EuclideanNorm|Erfc)$',
      ['attention', 'channelMean', 'channelMeanSquare', 'conv2d', 'layerNorm', 'linear', 'silu'],
    ],
  ];
  for (const [missing, plain] of cases) {
    it(`makes the same frames without ${missing}, asked for once`, async () => {
      const { chosen, issued, refused, frames } = await without(missing);
      const expected = Object.fromEntries(
        Object.entries(all.chosen).map(([name, fast]) => [
          name,
          plain.includes(name) ? 'plain' : fast,
        ]),
      );
      expect(chosen).to.deep.equal(expected);
      expect(Object.keys(refused), 'kernels that were tried').to.not.be.empty;
      expect([...new Set(Object.values(refused))], 'times that each was tried').to.deep.equal([1]);
      expect(issued.filter((name) => new RegExp(missing).test(name))).to.deep.equal([]);
      expect(relativeL2(Float32Array.from(frames), Float32Array.from(all.frames))).to.be.at.most(
        1e-4,
      );
    });
  }
});
