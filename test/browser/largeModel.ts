/** A model with which tests of the page see what it does where there is too little room. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import {
  components,
  weightedComponents,
  weightFileNames,
} from '../../src/checkpoints/diffusers/names.ts';
import { publishedConfigs } from '../../src/checkpoints/original/publishedConfigs.ts';
import { buildHeader } from '../../src/checkpoints/safetensors/header.ts';
import type { TensorInfo } from '../../src/checkpoints/weights/source.ts';

const shapes = fileURLToPath(new URL('../fixtures/svd-state-dict-shapes.tsv', import.meta.url));

/** Writes a model as large as the published ones, whose weight files are headers alone. */
export function writeLargeModel(folder: string): void {
  const write = (path: string, content: string | Uint8Array) => {
    mkdirSync(join(folder, path, '..'), { recursive: true });
    writeFileSync(join(folder, path), content);
  };
  const { index, configs } = publishedConfigs(25);
  write('model_index.json', JSON.stringify(index));
  for (const [name, { config }] of Object.entries(components)) {
    write(`${name}/${config}`, JSON.stringify(configs[name as keyof typeof components]));
  }
  const rows = readFileSync(shapes, 'utf8').trim().split('\n');
  for (const component of weightedComponents) {
    const tensors = rows
      .map((row) => row.split('\t'))
      .filter(([of]) => of === component)
      .map(([, key, sizes]): [string, TensorInfo] => {
        const shape = sizes.split('x').map(Number);
        return [key, { dtype: 'F32', shape, bytes: 4 * tf.util.sizeFromShape(shape) }];
      });
    write(`${component}/${weightFileNames(component).single}`, buildHeader(tensors));
  }
}
