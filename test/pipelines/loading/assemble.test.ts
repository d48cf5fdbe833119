/** What loading a pipeline tells while it lasts. */
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { openModelFolder } from '../../../src/checkpoints/index.ts';
import { MemoryError } from '../../../src/memory/errors.ts';
import { StableVideoDiffusionPipeline } from '../../../src/pipelines/node.ts';
import type { Progress } from '../../../src/pipelines/types.ts';
import { testBackend } from '../../setup.ts';

const tiny = fileURLToPath(new URL('../../../weights/tiny', import.meta.url));

describe('loading a pipeline', () => {
  it('reports the bytes read, from none to all and about a hundred times', async () => {
    const files = await openModelFolder(tiny);
    let bytes = 0;
    let tensors = 0;
    for (const component of ['unet', 'vae', 'image_encoder'] as const) {
      const source = await files.weights(component);
      for (const name of source.names()) bytes += source.info(name).bytes;
      tensors += source.names().length;
    }
    await files.close();
    const seen: Progress[] = [];
    const pipe = await StableVideoDiffusionPipeline.fromPretrained(tiny, {
      backend: testBackend,
      onProgress: (p) => seen.push(p),
    });
    pipe.dispose();
    expect(seen[0]).to.deep.equal({ stage: 'loading', step: 0, steps: bytes });
    expect(seen.at(-1)).to.deep.equal({ stage: 'loading', step: bytes, steps: bytes });
    const steps = seen.map(({ step }) => step);
    expect(steps).to.deep.equal([...new Set(steps)].sort((a, b) => a - b));
    expect(seen.length).to.be.above(20).and.at.most(102);
    expect(tensors).to.be.above(500);
  });

  it('refuses a call that cannot fit before it reads a weight', async () => {
    const seen: Progress[] = [];
    const options = {
      backend: testBackend,
      memory: 2 ** 29,
      plannedFor: { height: 1024, width: 1024, numFrames: 64 },
    };
    const loading = StableVideoDiffusionPipeline.fromPretrained(tiny, {
      ...options,
      onProgress: (p) => seen.push(p),
    });
    const error = await loading.catch((thrown: unknown) => thrown);
    expect(error).to.be.instanceOf(MemoryError);
    expect((error as Error).message).to.match(
      /^64 frames of 1024x1024 do not fit into memory: \w+ needs .*\. /,
    );
    expect(seen).to.deep.equal([]);
  });

  it('refuses options that do not exist, with those that do', async () => {
    const refused = (options: object) =>
      StableVideoDiffusionPipeline.fromPretrained(tiny, { backend: testBackend, ...options }).then(
        () => 'It was not refused.',
        (error: Error) => error.message,
      );
    expect(await refused({ offload: 'disk' })).to.equal(
      '`offload` has to be one of none, model, sequential but is disk.',
    );
    expect(await refused({ weightDtype: 'float16' })).to.equal(
      '`weightDtype` has to be one of auto, float32 but is float16.',
    );
  });
});
