/** The part of the checkpoint API that runs without Node. */
export type { Checkpoint, Format, OtherUnet } from './checkpoint.ts';
export { camelCaseConfig, snakeCaseConfig } from './configs/keys.ts';
export { CheckpointError } from './errors.ts';
export type { Dtype } from './safetensors/dtypes.ts';
export {
  type ByteReader,
  memoryBytes,
  readSafetensors,
  type SafetensorsFile,
} from './safetensors/reader.ts';
export {
  shapeFromCheckpoint,
  shapeInCheckpoint,
  valuesForCheckpoint,
  valuesFromCheckpoint,
} from './weights/layout.ts';
export {
  type BlockTensor,
  type BlockTensorsOptions,
  blockTensors,
  checkpointShape,
  checkWeights,
  type LoadWeightsOptions,
  loadWeights,
} from './weights/load.ts';
export type { WeightDtype } from './weights/reader.ts';
export {
  memorySource,
  type TensorInfo,
  type TensorValues,
  type WeightSource,
} from './weights/source.ts';
export { WeightStream } from './weights/stream.ts';
