/** Makes the down and up blocks of the UNet by the names of their types. */
import {
  CrossAttnDownBlockSpatioTemporal,
  type CrossAttnDownBlockSpatioTemporalArgs,
  CrossAttnUpBlockSpatioTemporal,
  type CrossAttnUpBlockSpatioTemporalArgs,
  DownBlockSpatioTemporal,
  UpBlockSpatioTemporal,
} from '../layers/index.ts';

/** The down block of a type. */
export const downBlock = (
  type: string,
  args: CrossAttnDownBlockSpatioTemporalArgs,
): DownBlockSpatioTemporal =>
  type === 'DownBlockSpatioTemporal'
    ? new DownBlockSpatioTemporal(plain(args))
    : new CrossAttnDownBlockSpatioTemporal(args);

/** The up block of a type. */
export const upBlock = (
  type: string,
  args: CrossAttnUpBlockSpatioTemporalArgs,
): UpBlockSpatioTemporal =>
  type === 'UpBlockSpatioTemporal'
    ? new UpBlockSpatioTemporal(plain(args))
    : new CrossAttnUpBlockSpatioTemporal(args);

/** The arguments of a block without those of its transformers. */
function plain<Args extends Partial<CrossAttnDownBlockSpatioTemporalArgs>>({
  transformerLayersPerBlock,
  numAttentionHeads,
  crossAttentionDim,
  ...args
}: Args) {
  return args;
}
