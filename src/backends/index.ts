/** Chooses, prepares and reports on TensorFlow.js backends. */
export { listBackends } from './list.ts';
export { nativeHandleCount, releaseBackend, useBackend } from './select.ts';
export { removeTensorflow, type SetupOptions, setUpTensorflow } from './tensorflow/setup.ts';
export {
  type BackendChoice,
  type BackendName,
  type BackendOptions,
  type BackendReport,
  backendChoices,
  backendNames,
} from './types.ts';
export { removeWebgpu, setUpWebgpu } from './webgpu/setup.ts';
