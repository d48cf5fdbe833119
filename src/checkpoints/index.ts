/** The public checkpoint API in Node. */
import './saveLayer.ts';

export * from './browser.ts';
export type { Component, WeightedComponent } from './diffusers/names.ts';
export { openModelFolder } from './diffusers/openFolder.ts';
export { type ModelToWrite, writeModelFolder } from './diffusers/writeFolder.ts';
export { isHubId } from './hub/address.ts';
export { type DownloadOptions, downloadModel } from './hub/download.ts';
export type { HubOptions } from './hub/environment.ts';
export { locateModel } from './hub/locate.ts';
export { type CheckpointIdentity, identifyCheckpoint } from './identity.ts';
export { type Inspection, inspectModel } from './inspect.ts';
export { type LoadLayerWeightsOptions, loadLayerWeights } from './loadLayerWeights.ts';
export { type OpenOptions, openCheckpoint } from './openCheckpoint.ts';
export type { SingleFileOptions } from './original/checkpoint.ts';
export { type PublishedConfigs, publishedConfigs } from './original/publishedConfigs.ts';
export { packagedModel } from './packagedModel.ts';
export { openSafetensors } from './safetensors/file.ts';
export { openSharded } from './safetensors/sharded.ts';
export { type TensorData, type TensorToWrite, writeSafetensors } from './safetensors/writer.ts';
export { type Located, locateUnet, locateWithUnet } from './unet/locate.ts';
export { type SavedDtype, savedDtypes, tensorsOf } from './weights/export.ts';
