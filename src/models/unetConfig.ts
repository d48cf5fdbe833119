/** What the configuration of the UNet has to be. */
import { type Checks, indivisible } from '../layers/checks.ts';
import { oneOf, oneOrList, optional, whole } from '../text/kinds.ts';
import {
  channels,
  differentLengths,
  layers,
  listPerLevel,
  type PerBlock,
  perBlock,
  perLevel,
} from './perBlock.ts';

const types = (...names: string[]) => listPerLevel(oneOf(...names));

/** The checks of each value. */
export const unetChecks: Checks = {
  sampleSize: optional(oneOrList(whole(1, 1024), 2)),
  inChannels: channels,
  outChannels: channels,
  downBlockTypes: types('CrossAttnDownBlockSpatioTemporal', 'DownBlockSpatioTemporal'),
  upBlockTypes: types('CrossAttnUpBlockSpatioTemporal', 'UpBlockSpatioTemporal'),
  blockOutChannels: listPerLevel(channels),
  additionTimeEmbedDim: channels,
  projectionClassEmbeddingsInputDim: channels,
  layersPerBlock: perLevel(layers),
  crossAttentionDim: perLevel(channels),
  transformerLayersPerBlock: perLevel(oneOrList(whole(0, 64), 65)),
  numAttentionHeads: perLevel(channels),
};

/** The values that depend on each other. */
interface Sizes {
  downBlockTypes: string[];
  upBlockTypes: string[];
  blockOutChannels: number[];
  numAttentionHeads: PerBlock<number>;
  crossAttentionDim: PerBlock<number>;
  layersPerBlock: PerBlock<number>;
  transformerLayersPerBlock: PerBlock<number | number[]>;
  projectionClassEmbeddingsInputDim: number;
  additionTimeEmbedDim: number;
}

/** What is wrong with values that are right by themselves. */
export function unetMisfits(sizes: Sizes): (string | undefined)[] {
  const { downBlockTypes, upBlockTypes, blockOutChannels, numAttentionHeads } = sizes;
  const { crossAttentionDim, layersPerBlock, transformerLayersPerBlock } = sizes;
  const { projectionClassEmbeddingsInputDim, additionTimeEmbedDim } = sizes;
  const lists = [
    ...[{ blockOutChannels }, { numAttentionHeads }, { crossAttentionDim }, { layersPerBlock }],
    { transformerLayersPerBlock },
  ];
  return [
    differentLengths({ downBlockTypes }, { upBlockTypes }),
    ...lists.map((list) => differentLengths(list, { downBlockTypes })),
    ...blockOutChannels.map((channels, i) => indivisible({ [`blockOutChannels[${i}]`]: channels })),
    ...blockOutChannels.flatMap((_, i) => attentionMisfits(sizes, i)),
    indivisible({ projectionClassEmbeddingsInputDim }, { additionTimeEmbedDim }),
  ];
}

/** What is wrong with the transformers of a level: those of its blocks and of the middle. */
function attentionMisfits(sizes: Sizes, level: number): (string | undefined)[] {
  const { downBlockTypes, upBlockTypes, blockOutChannels } = sizes;
  const levels = downBlockTypes.length;
  const [attendsDown, attendsUp] = [downBlockTypes[level], upBlockTypes[levels - 1 - level]].map(
    (type) => type?.startsWith('CrossAttn'),
  );
  if (!attendsDown && !attendsUp && level < levels - 1) return [];
  const heads = perBlock(sizes.numAttentionHeads, levels)[level];
  const layers = perBlock(sizes.layersPerBlock, levels)[level];
  const transformerLayers = perBlock<number | number[]>(sizes.transformerLayersPerBlock, levels);
  const given = transformerLayers[level];
  const needed = attendsUp ? layers + 1 : attendsDown ? layers : 1;
  return [
    indivisible(
      { [`blockOutChannels[${level}]`]: blockOutChannels[level] },
      { numAttentionHeads: heads },
    ),
    Array.isArray(given) && given.length < needed
      ? `\`transformerLayersPerBlock[${level}]\` has to have ${needed} entries, one for each ` +
        `transformer, but is [${given}].`
      : undefined,
  ];
}
