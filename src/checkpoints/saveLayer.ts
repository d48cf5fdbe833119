/** Writes one layer to a safetensors file. Whoever imports this file lets `layer.save` do it. */
import { type AnyBlock, Block, type SaveLayerOptions } from '../layers/block.ts';
import { savedDtypes } from './safetensors/dtypes.ts';
import { writeSafetensors } from './safetensors/writer.ts';
import { blockTensors } from './weights/load.ts';

async function saveLayer(
  layer: AnyBlock,
  path: string,
  { keyPrefix, dtype = 'float32' }: SaveLayerOptions,
): Promise<void> {
  const tensors = blockTensors(layer, { dtype: savedDtypes[dtype], keyPrefix });
  await writeSafetensors(path, tensors, { format: 'pt' });
}
Block.writer = saveLayer;
