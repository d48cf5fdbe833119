/** The part of the checkpoint API that runs without Node. */
export { camelCaseConfig, snakeCaseConfig } from './configs.ts';
export type { Dtype } from './dtypes.ts';
export { CheckpointError } from './errors.ts';
export { shapeFromCheckpoint, shapeInCheckpoint, valuesForCheckpoint, valuesFromCheckpoint } from './layout.ts';
export { type BlockTensor, blockTensors, checkpointShape, checkWeights, type LoadWeightsOptions, loadWeights } from './loadWeights.ts';
export { type ByteReader, memoryBytes, readSafetensors, type SafetensorsFile } from './safetensorsReader.ts';
export type { WeightDtype } from './weightReader.ts';
export { memorySource, type TensorInfo, type TensorValues, type WeightSource } from './weightSource.ts';
export { WeightStream } from './weightStream.ts';
