/** Configurations in saved TensorFlow.js models. */
import type * as tf from '@tensorflow/tfjs';
import { activations } from '../ops/index.ts';

const names = [
  'CrossAttnDownBlockSpatioTemporal',
  'DownBlockSpatioTemporal',
  'UpBlockSpatioTemporal',
  'CrossAttnUpBlockSpatioTemporal',
  'DownEncoderBlock2D',
  ...Object.keys(activations),
];
const plain = (name: string) => name.replaceAll('_', '').toLowerCase();
const byPlain = new Map(names.map((name) => [plain(name), name]));

/**
 * Restores the names of types: TensorFlow.js writes strings in snake_case and reads them in
 * camelCase, also those of a configuration.
 */
function restored(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(restored);
  return typeof value === 'string' ? (byPlain.get(plain(value)) ?? value) : value;
}

/** Makes a layer from a saved configuration. */
export function fromSavedConfig<T extends tf.serialization.Serializable>(
  cls: tf.serialization.SerializableConstructor<T>,
  config: tf.serialization.ConfigDict,
): T {
  return new cls(
    Object.fromEntries(
      Object.entries(config).map(([key, value]) => [key, key === 'name' ? value : restored(value)]),
    ),
  );
}
