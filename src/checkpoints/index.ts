/** The public checkpoint API in Node. */
export * from './browser.ts';
export { type ConvertOriginalOptions, convertOriginal } from './convertOriginal.ts';
export { type DownloadOptions, downloadModel, isHubId } from './hub/download.ts';
export type { HubOptions } from './hub/environment.ts';
export { locateModel } from './hub/locate.ts';
export { type CheckpointIdentity, identifyCheckpoint } from './identity.ts';
export { type LoadLayerWeightsOptions, loadLayerWeights } from './loadLayerWeights.ts';
export { type Component, type ModelFolder, openModelFolder, type WeightedComponent } from './modelFolder.ts';
export { openSafetensors } from './safetensorsFile.ts';
export { type TensorData, type TensorToWrite, writeSafetensors } from './safetensorsWriter.ts';
export { openSharded } from './shardedSource.ts';
