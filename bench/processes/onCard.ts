/** What the webgpu backend leaves to the processor. */
import * as tf from '@tensorflow/tfjs';

/** The parts of tfjs' backend that are watched. */
interface Webgpu {
  shouldExecuteOnCPU(inputs: tf.TensorInfo[], threshold?: number): boolean;
  read(dataId: object): Promise<tf.BackendValues>;
}

/**
 * Counts, by name, the kernels that webgpu forwards to the processor, which it does with tensors of
 * few values that are there already, and what is read back. Nothing is counted on other backends:
 * TensorFlow tells in its log.
 */
export function watchHostKernels(): () => Record<string, number> {
  const counts: Record<string, number> = {};
  if (tf.getBackend() !== 'webgpu') return () => counts;
  const count = (name: string) => {
    counts[name] = (counts[name] ?? 0) + 1;
  };
  let kernel = '';
  for (const config of tf.getKernelsForBackend('webgpu')) {
    const compute = config.kernelFunc;
    config.kernelFunc = (args) => {
      kernel = config.kernelName;
      return compute(args);
    };
  }
  const backend = tf.backend() as unknown as Webgpu;
  const shouldExecuteOnCPU = backend.shouldExecuteOnCPU.bind(backend);
  backend.shouldExecuteOnCPU = (inputs, threshold) => {
    const forwarded = shouldExecuteOnCPU(inputs, threshold);
    if (forwarded) count(kernel);
    return forwarded;
  };
  const read = backend.read.bind(backend);
  backend.read = async (dataId) => {
    const values = await read(dataId);
    // One value is what a round waits for.
    if (values.length > 1) count('read back');
    return values;
  };
  return () => ({ ...counts });
}
