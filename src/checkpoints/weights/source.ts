/** The interface of weights that every checkpoint format implements, and weights in memory. */

import { checkArgument, kinds } from '../../text/options.ts';
import { CheckpointError, quoted } from '../errors.ts';
import type { Dtype } from '../safetensors/dtypes.ts';

/** A tensor without its values. */
export interface TensorInfo {
  /** The element type in the checkpoint. */
  dtype: Dtype;
  /** As in the checkpoint: in PyTorch's axis order, unless the source says `tfjsAxes`. */
  shape: number[];
  /** Size in the checkpoint; of a quantised tensor, that of the values it stands for. */
  bytes: number;
  /** How a quantised tensor is stored. */
  stored?: {
    /** Its element type. */
    dtype: 'uint8' | 'uint16';
    /** Its size. */
    bytes: number;
  };
}

/** A named set of tensors that are read one at a time. */
export interface WeightSource {
  /**
   * Tensors are in the axis order of TensorFlow.js, not of PyTorch: their shapes, values and bytes
   * are those of the layers' variables.
   */
  readonly tfjsAxes?: true;
  /** A sentence about how its names are read, if that is not as they are in the file. */
  readonly remark?: string;
  /** Every tensor's name, in the order in which reading them is fastest. */
  names(): string[];
  /** @throws CheckpointError if there is no such tensor. */
  info(name: string): TensorInfo;
  /**
   * The tensor's values in the source's axis order, in a new array that is the caller's.
   * @throws CheckpointError if there is no such tensor, it is not of floating point, or it cannot
   * be read.
   */
  read(name: string): Promise<Float32Array>;
  /**
   * Fills `target`, of the size that `info` tells, with the tensor's bytes as they are stored
   * (little-endian). Left out by sources that have no such bytes; backends that convert by
   * themselves then take what `read` returns.
   * @throws CheckpointError if there is no such tensor or it cannot be read.
   */
  readBytes?(name: string, target: Uint8Array): Promise<void>;
  /** Frees what the source holds. Reading is an error afterwards. */
  close(): Promise<void>;
}

/** Float32 values with their shape, in PyTorch's axis order. */
export interface TensorValues {
  /** In PyTorch's axis order. */
  shape: number[];
  /** The values, row-major. */
  data: Float32Array;
}

/**
 * A source of tensors held in memory. `label` names it in messages.
 * @throws CheckpointError if a tensor's values do not fill its shape.
 */
export function memorySource(
  tensors: Record<string, TensorValues>,
  label = 'memory',
): WeightSource {
  checkArgument('memorySource', tensors, {
    is: 'tensors by name, each with its data and shape,',
    test: (value) =>
      kinds.object.test(value) && Object.values(Object(value)).every(kinds.values.test),
  });
  const entries = new Map(Object.entries(tensors));
  for (const [name, { shape, data }] of entries) {
    const size = shape.reduce((product, axis) => product * axis, 1);
    if (data.length !== size) {
      throw new CheckpointError(
        `${label}: ${quoted(name)} has ${data.length} values, but its shape [${shape}] needs ` +
          `${size}.`,
      );
    }
  }
  const entry = (name: string) => entries.get(name) ?? unknownTensor(name, label);
  return {
    names: () => [...entries.keys()],
    info: (name) => ({
      dtype: 'F32',
      shape: [...entry(name).shape],
      bytes: entry(name).data.byteLength,
    }),
    read: async (name) => entry(name).data.slice(),
    close: async () => entries.clear(),
  };
}

export function unknownTensor(name: string, label: string): never {
  throw new CheckpointError(
    `${label} has no tensor ${quoted(name)}. See \`names()\` for those it has.`,
  );
}
