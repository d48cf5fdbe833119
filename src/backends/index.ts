/** Chooses, prepares and reports on TensorFlow.js backends. */
export { listBackends } from './list.ts';
export { nativeHandleCount, releaseBackend, useBackend } from './select.ts';
export { removeTensorflow, type SetupOptions, setUpTensorflow } from './tensorflow/setup.ts';
export {
  type BackendName,
  type BackendOptions,
  type BackendReport,
  backendNames,
} from './types.ts';
