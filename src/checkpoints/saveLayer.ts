/** Writes one layer to a safetensors file. Whoever imports this file lets `layer.save` do it. */
import { type AnyBlock, Block, type SaveLayerOptions } from '../layers/block.ts';
import { shown } from '../text/messages.ts';
import { checkOptionValues, kinds } from '../text/options.ts';
import { savedDtypes } from './safetensors/dtypes.ts';
import { writeSafetensors } from './safetensors/writer.ts';
import { blockTensors } from './weights/load.ts';

async function saveLayer(layer: AnyBlock, path: string, options: SaveLayerOptions): Promise<void> {
  if (typeof path !== 'string' || path === '')
    throw new Error(`\`layer.save\` takes a path as its first argument, not ${shown(path)}.`);
  const known = { keyPrefix: kinds.text, dtype: { oneOf: Object.keys(savedDtypes) } };
  checkOptionValues('layer.save', options, known);
  const { keyPrefix, dtype = 'float32' } = options;
  const tensors = blockTensors(layer, { dtype: savedDtypes[dtype], keyPrefix });
  await writeSafetensors(path, tensors, { format: 'pt' });
}
Block.writer = saveLayer;
