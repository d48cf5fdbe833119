/**
 * Artifacts as TensorFlow.js itself reads them: over HTTP, by `tf.loadLayersModel`, with the layers
 * of this package registered.
 */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { convertCheckpoint } from '../../converters/index.ts';
import { declaredModel } from '../../src/checkpoints/components.ts';
import { openCheckpoint, type WeightedComponent } from '../../src/checkpoints/index.ts';
import { loadWeights } from '../../src/checkpoints/weights/load.ts';
import type { AnyBlock } from '../../src/layers/index.ts';
import { expectError } from '../checkpoints/files.ts';
import { inputValues } from '../harness/nameHash.ts';
import { editWeight, withModel } from './models.ts';

/** Serves a folder's files. */
async function serve(folder: string): Promise<{ url: string; server: Server }> {
  const server = createServer(async (request, response) => {
    const content = await readFile(join(folder, new URL(request.url!, 'http://x').pathname)).catch(
      () => undefined,
    );
    response.writeHead(content === undefined ? 404 : 200).end(content);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server };
}

/** A component of a checkpoint as this package loads it. */
async function loaded(path: string, component: WeightedComponent): Promise<AnyBlock> {
  const files = await openCheckpoint(path);
  const model = declaredModel(files, component);
  await loadWeights(model, await files.weights(component));
  await files.close();
  return model;
}

/** Inputs of a call of a component, one video of two frames. */
function inputsFor(
  component: WeightedComponent,
  model: AnyBlock,
): { inputs: tf.Tensor[]; kwargs: object } {
  const { config } = model as unknown as { config: Record<string, number> };
  const tensor = (name: string, shape: number[]) => tf.tensor(inputValues(name, shape).data, shape);
  if (component === 'image_encoder')
    return { inputs: [tensor('pixels', [1, config.imageSize, config.imageSize, 3])], kwargs: {} };
  if (component === 'vae')
    return { inputs: [tensor('sample', [2, 16, 16, 3])], kwargs: { numFrames: 2 } };
  const shapes = {
    sample: [2, 8, 8, config.inChannels],
    context: [1, 1, config.crossAttentionDim],
  };
  const [sample, context] = Object.entries(shapes).map(([name, shape]) => tensor(name, shape));
  return {
    inputs: [sample, tf.tensor1d([1.5]), context, tf.tensor2d([[6, 127, 0.02]])],
    kwargs: { numFrames: 2 },
  };
}

const valuesOf = (outputs: tf.Tensor | tf.Tensor[]) =>
  Promise.all([outputs].flat().map((tensor) => tensor.data()));

describe('TensorFlow.js artifacts', () => {
  for (const quantize of ['none', 'uint8'] as const) {
    it(
      'are read by tf.loadLayersModel with the outputs that this package gives, quantised to ' +
        `${quantize}`,
      () =>
        withModel('float16', async (model, path) => {
          await convertCheckpoint(model, path('tfjs'), {
            to: 'tfjs',
            quantize,
            shardSize: 150_000,
          });
          const { url, server } = await serve(path('tfjs'));
          try {
            for (const component of ['unet', 'vae', 'image_encoder'] as const) {
              const ours = await loaded(path('tfjs'), component);
              const stock = await tf.loadLayersModel(`${url}/${component}/model.json`);
              expect(stock.layers.at(-1)!.getClassName()).to.equal(ours.getClassName());
              const { inputs, kwargs } = inputsFor(component, ours);
              const given = inputs.length === 1 ? inputs[0] : inputs;
              const [expected, found] = [
                ours.apply(given, kwargs as Record<string, unknown>),
                stock.apply(given, kwargs) as tf.Tensor | tf.Tensor[],
              ];
              expect(await valuesOf(found)).to.deep.equal(await valuesOf(expected));
              tf.dispose([inputs, expected, found]);
              stock.dispose();
              ours.dispose();
            }
          } finally {
            server.close();
          }
        }),
    );
  }

  it(
    'quantise with the steps that the manifest says, and print how far that is from the exact ' +
      'weights',
    () =>
      withModel('float32', async (model, path) => {
        for (const [quantize, most] of [
          ['uint8', 1e-2],
          ['uint16', 1e-4],
          ['float16', 5e-4],
        ] as const) {
          const { errors } = await convertCheckpoint(model, path(quantize), {
            to: 'tfjs',
            quantize,
          });
          const { weightsManifest } = JSON.parse(
            await readFile(path(`${quantize}/vae/model.json`), 'utf8'),
          );
          const [{ paths, weights }] = weightsManifest as tf.io.WeightsManifestConfig;
          const bytes = await readFile(path(`${quantize}/vae/${paths[0]}`));
          const stock = tf.io.decodeWeights(
            bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length),
            weights,
          );
          const [exact, stored] = [
            await openCheckpoint(model),
            await openCheckpoint(path(quantize)),
          ];
          const [exactVae, storedVae] = [await exact.weights('vae'), await stored.weights('vae')];
          let [difference, squares, largest] = [0, 0, 0];
          for (const [i, { name, quantization }] of weights.entries()) {
            const key = storedVae.names()[i];
            const values = await storedVae.read(key);
            expect(await stock[name].data(), name).to.deep.equal(values);
            if (quantize !== 'float16' && stock[name].rank < 2)
              expect(quantization).to.equal(undefined);
            if (quantization === undefined) continue;
            expect(quantization.dtype).to.equal(quantize);
            const sorted = async (array: Float32Array) => array.slice().sort();
            // monotonous, so the order of the axes does not matter
            const [a, b] = [await sorted(await exactVae.read(key)), await sorted(values)];
            if (quantize !== 'float16') {
              const { scale } = quantization as { scale: number };
              expect(Math.max(...a.map((value, j) => Math.abs(value - b[j])))).to.be.at.most(
                0.500001 * scale + 1e-7,
              );
            }
            for (const [j, value] of a.entries()) {
              difference += (value - b[j]) ** 2;
              squares += value ** 2;
              largest = Math.max(largest, Math.abs(value - b[j]));
            }
          }
          expect(errors.vae!.relative)
            .to.be.closeTo(Math.sqrt(difference / squares), 1e-9)
            .and.below(most)
            .and.above(0);
          expect(errors.vae!.largest).to.be.closeTo(largest, 1e-9);
          tf.dispose(stock);
          await exact.close();
          await stored.close();
        }
      }),
  );

  it('refuse values that cannot be quantised', () =>
    withModel('float32', async (model, path) => {
      await editWeight(
        join(model, 'vae/diffusion_pytorch_model.safetensors'),
        'encoder.conv_in.weight',
        (values) => {
          values[5] = 1e6;
        },
      );
      await expectError(
        () => convertCheckpoint(model, path('a'), { to: 'tfjs', quantize: 'float16' }),
        'vae.encoder.conv_in.weight',
        '65504',
      );
      await editWeight(
        join(model, 'vae/diffusion_pytorch_model.safetensors'),
        'encoder.conv_in.weight',
        (values) => {
          values[5] = Number.NaN;
        },
      );
      await expectError(
        () => convertCheckpoint(model, path('b'), { to: 'tfjs', quantize: 'uint8' }),
        'vae.encoder.conv_in.weight',
        'NaN',
      );
    }));
});
