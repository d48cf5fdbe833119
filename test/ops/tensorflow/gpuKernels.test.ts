/**
 * The formulations for graphics cards, tried on a processor: with them, every
 * operation that a call issues has a kernel for cards in the types it is issued with
 * (gpu-kernels.json), so that none brings its inputs to the processor; and no step reads anything
 * back.
 */
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { useFormulations } from '../../../src/ops/formulations.ts';
import { computeDtypes } from '../../../src/ops/index.ts';
import { StableVideoDiffusionPipeline } from '../../../src/pipelines/node.ts';
import { imageOf, optionsOf } from '../../harness/calls.ts';
import { readFixture } from '../../harness/fixtures.ts';
import { type IssuedOp, issuedOps } from '../../harness/issuedOps.ts';
import { inputPicture } from '../../harness/nameHash.ts';
import { pipelineByName } from '../../harness/pipelines.ts';
import { tinyPipeline } from '../../harness/tiny.ts';
import { testBackend, testFormulation } from '../../setup.ts';

const tiny = fileURLToPath(new URL('../../../weights/tiny', import.meta.url));

/**
 * By version of TensorFlow and name of the operation: the types of its kernels, such as `T=float
 * Tidx=int32`.
 */
const known = JSON.parse(
  readFileSync(new URL('../../fixtures/gpu-kernels.json', import.meta.url), 'utf8'),
) as Record<string, Record<string, string[]>>;

/** TensorFlow's names of the types. */
const native = { float32: 'float', float16: 'half', bfloat16: 'bfloat16' };

/**
 * Makes the backend say that it computes on a card, so that no kernel for processors is called.
 * Returns a function that undoes it.
 */
function asOnCard(): () => void {
  const backend = tf.backend() as unknown as { isUsingGpuDevice: boolean };
  const before = backend.isUsingGpuDevice;
  backend.isUsingGpuDevice = true;
  return () => {
    backend.isUsingGpuDevice = before;
  };
}

/** Whether an operation has a kernel for cards. */
function hasKernel({ name, types }: IssuedOp, version: string): boolean {
  const signatures = known[version]![name] ?? [];
  const fits = (part: string) => {
    const [attribute, type] = part.split('=') as [string, string];
    return (types[attribute] ?? type) === type;
  };
  return signatures.some((signature) =>
    signature.split(' ').every((part) => part === '' || fits(part)),
  );
}

/**
 * What a call of one step reads: whether the noisy picture, the embeddings, the picture latents, the
 * latents and the frames are finite, and the frames, which are decoded together.
 */
const READS = 6;

describe('on a graphics card', () => {
  before(function () {
    if (testBackend !== 'tensorflow') this.skip();
    useFormulations('gpu');
  });
  after(() => useFormulations(testFormulation));

  function expectKernels(ops: IssuedOp[], versions: string[]): void {
    expect(ops.length).to.be.above(20);
    for (const version of versions) {
      const without = ops
        .filter((op) => !hasKernel(op, version))
        .map(({ name, types }) => `${name} ${JSON.stringify(types)}`);
      expect(without, `operations without kernel in TensorFlow ${version}`).to.deep.equal([]);
    }
  }

  for (const dtype of computeDtypes) {
    // npm's tfjs-node-gpu has the old version, whose kernels for bfloat16 are only for processors.
    const versions = Object.keys(known).filter(
      (version) => dtype !== 'bfloat16' || version !== '2.9.1',
    );
    it(`every operation of a call in ${dtype} has a kernel, and no step reads back`, async () => {
      const fixture = await readFixture('pipelines', 'odd-latents-8x.safetensors');
      const pipe = await pipelineByName(JSON.parse(fixture.metadata.components));
      for (const model of [pipe.unet, pipe.vae]) model.computeDtype = dtype;
      const image = await imageOf(fixture);
      const options = { ...optionsOf(fixture), numInferenceSteps: 1 };
      const { ops, reads } = await issuedOps(() => pipe.generate(image, options));
      expectKernels(ops, versions);
      expect(reads).to.equal(READS);
      pipe.dispose();
    });
  }

  it('every product and convolution of the UNet and the decoder in float16 is in half precision', async () => {
    const pipe = await tinyPipeline();
    const { unet, vae } = pipe;
    for (const model of [unet, vae]) model.computeDtype = 'float16';
    const inputs = [tf.ones([2, 4, 8, 8]), tf.ones([1]), tf.ones([1, 1, 8]), tf.ones([1, 3])];
    const latents = tf.ones<tf.Rank.R4>([2, 4, 8, 4]);
    const { ops } = await issuedOps(async () => {
      tf.dispose(unet.apply(inputs, { numFrames: 2 }) as tf.Tensor);
      (await vae.decode(latents, 2)).dispose();
    });
    const products = ops.filter(({ name }) => ['MatMul', 'BatchMatMulV2', 'Conv2D'].includes(name));
    expect(products).to.have.deep.members(
      ['MatMul', 'BatchMatMulV2', 'Conv2D'].map((name) => ({ name, types: { T: 'half' } })),
    );
    tf.dispose([...inputs, latents]);
    pipe.dispose();
  });

  it('every operation with weights that are held in half precision has a kernel', async () => {
    const pipe = await StableVideoDiffusionPipeline.fromPretrained(tiny, { backend: 'tensorflow' });
    const options = { height: 32, width: 32, numFrames: 2, numInferenceSteps: 1 };
    const { ops } = await issuedOps(() => pipe.generate(inputPicture('picture', 20, 12), options));
    expect(ops).to.deep.include({ name: 'Cast', types: { SrcT: 'half', DstT: 'float' } });
    expectKernels(ops, Object.keys(known));
    pipe.dispose();
  });

  for (const dtype of ['float32', 'float16', 'bfloat16'] as const) {
    for (const weightDtype of dtype === 'float32'
      ? (['auto'] as const)
      : (['auto', 'float32'] as const)) {
      it(
        `every operation of streaming ${dtype} weights, held as ${weightDtype}, has a kernel, ` +
          'and none reads back',
        async () => {
          const folder = await mkdtemp(join(tmpdir(), 'svd-test-'));
          const restore = asOnCard();
          try {
            const shipped = await StableVideoDiffusionPipeline.fromPretrained(tiny, {
              backend: 'tensorflow',
            });
            await shipped.savePretrained(folder, { dtype });
            shipped.dispose();
            const load = { backend: 'tensorflow', offload: 'sequential', weightDtype } as const;
            const pipe = await StableVideoDiffusionPipeline.fromPretrained(folder, load);
            const options = { height: 32, width: 32, numFrames: 2, numInferenceSteps: 1 };
            const { ops, reads } = await issuedOps(() =>
              pipe.generate(inputPicture('picture', 20, 12), options),
            );
            // Moved before they are widened, which is less to move.
            expect(ops).to.deep.include.members([
              { name: 'Bitcast', types: { T: 'uint8', type: native[dtype] } },
              { name: 'Transpose', types: { T: native[dtype], Tperm: 'int32' } },
            ]);
            expect(
              ops.filter(({ name }) => name === 'Cast').map(({ types }) => types.SrcT),
            ).to.include(native[dtype]);
            expectKernels(ops, Object.keys(known));
            expect(reads).to.equal(READS);
            pipe.dispose();
          } finally {
            restore();
            await rm(folder, { recursive: true });
          }
        },
      );
    }
  }
});

describe('the list of kernels for graphics cards', () => {
  const op = (name: string, types: Record<string, string>) => hasKernel({ name, types }, '2.21.0');

  it('tells what there is', () => {
    expect(op('Conv2D', { T: 'half' })).to.equal(true);
    expect(op('Mean', { T: 'float', Tidx: 'int32' })).to.equal(true);
    expect(op('Mean', { T: 'float', Tidx: 'bool' })).to.equal(false);
    expect(op('Erfc', { T: 'int32' })).to.equal(false);
    expect(op('_MklMatMul', { T: 'float' })).to.equal(false);
    expect(hasKernel({ name: 'MatMul', types: { T: 'bfloat16' } }, '2.9.1')).to.equal(false);
  });
});
