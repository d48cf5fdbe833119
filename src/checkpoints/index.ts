/** The public checkpoint API in Node. */
export * from './browser.ts';
export { type Conversion, type ConvertOptions, convertCheckpoint } from './convert/convertCheckpoint.ts';
export { type SavedDtype, savedDtypes, tensorsOf } from './convert/tensors.ts';
export type { ComponentError } from './convert/toTfjs.ts';
export { type ModelToWrite, writeModelFolder } from './convert/writeModelFolder.ts';
export { type DownloadOptions, downloadModel, isHubId } from './hub/download.ts';
export type { HubOptions } from './hub/environment.ts';
export { locateModel } from './hub/locate.ts';
export { type CheckpointIdentity, identifyCheckpoint } from './identity.ts';
export { type LoadLayerWeightsOptions, loadLayerWeights } from './loadLayerWeights.ts';
export type { Component, WeightedComponent } from './modelFiles.ts';
export { openModelFolder } from './modelFolder.ts';
export { type Format, type ModelFiles, type OpenOptions, openModel } from './openModel.ts';
export type { SingleFileOptions } from './original/openOriginal.ts';
export { type PublishedConfigs, publishedConfigs } from './original/publishedConfigs.ts';
export { openSafetensors } from './safetensorsFile.ts';
export { type TensorData, type TensorToWrite, writeSafetensors } from './safetensorsWriter.ts';
export { openSharded } from './shardedSource.ts';
