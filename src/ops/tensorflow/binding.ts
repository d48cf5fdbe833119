/**
 * The native addon of tfjs-node, which gives access to what TensorFlow.js has no function for:
 * kernels by name, half precision, and graphs.
 */
import * as tf from '@tensorflow/tfjs-core';

/** TensorFlow's numbers of element types. */
export const dtypes = {
  float32: 1,
  int32: 3,
  uint8: 4,
  bool: 10,
  bfloat16: 14,
  float16: 19,
} as const;

/** TensorFlow's numbers of the types of attributes. */
export const attributeTypes = { string: 0, int: 1, float: 2, bool: 3, type: 4, shape: 5 } as const;

/** An attribute of an operation. A `value` that is an array is a list, or a shape. */
export interface Attribute {
  name: string;
  type: number;
  value: string | number | boolean | (string | number | boolean)[];
}

/** A tensor in libtensorflow's memory: its handle, and TensorFlow's number of its type. */
export interface NativeTensor {
  id: number;
  shape: number[];
  dtype: number;
}

/** The native addon. */
export interface Binding {
  TF_Version: string;
  executeOp(op: string, attributes: Attribute[], inputs: number[], outputs: number): NativeTensor[];
  createTensor(
    shape: number[],
    dtype: number,
    values: Int32Array | Float32Array | Uint8Array,
  ): number;
  deleteTensor(id: number): void;
  tensorDataSync(id: number): ArrayLike<number>;
  getNumOfTensors(): number;
  loadSavedModel(folder: string, tags: string): number;
  runSavedModel(
    session: number,
    inputs: number[],
    inputNames: string,
    outputNames: string,
  ): NativeTensor[];
  deleteSavedModel(session: number): void;
}

/** The tensorflow backend of tfjs-node. */
export interface NodeBackend {
  binding: Binding;
  isUsingGpuDevice: boolean;
  /** The handles of tensors, whose values are uploaded if they wait in JavaScript. */
  getInputTensorIds(tensors: tf.Tensor[]): number[];
  /** Hands a native tensor over to TensorFlow.js. */
  createOutputTensor(tensor: NativeTensor): tf.Tensor;
  tensorMap: {
    get(dataId: object): NativeTensor;
    set(dataId: object, data: NativeTensor & { values: null; refCount: number }): void;
  };
}

/** The current backend, which has to be the tensorflow backend. */
export const nodeBackend = () => tf.backend() as unknown as NodeBackend;

/** Puts functions in place of the addon's until the result is disposed of. */
export function interceptBinding(overrides: (binding: Binding) => Partial<Binding>): Disposable {
  const backend = nodeBackend();
  const { binding } = backend;
  // The addon's own properties cannot be assigned to.
  const properties = Object.getOwnPropertyDescriptors(overrides(binding));
  backend.binding = Object.create(binding, properties) as Binding;
  return {
    [Symbol.dispose]() {
      backend.binding = binding;
    },
  };
}

/** The value of an attribute: a number stands for an element type, a list for whole numbers. */
export type AttributeValue = boolean | string | number | number[] | { float: number };

function attribute(name: string, value: AttributeValue): Attribute {
  if (typeof value === 'boolean') return { name, type: attributeTypes.bool, value };
  if (typeof value === 'string') return { name, type: attributeTypes.string, value };
  if (typeof value === 'number') return { name, type: attributeTypes.type, value };
  if (Array.isArray(value)) return { name, type: attributeTypes.int, value };
  return { name, type: attributeTypes.float, value: value.float };
}

/** Runs a kernel that has one output on the tensors with the handles `inputs`. */
export function execute(
  kernel: string,
  attributes: Record<string, AttributeValue>,
  ...inputs: number[]
): OwnedTensor {
  const named = Object.entries(attributes).map(([name, value]) => attribute(name, value));
  return new OwnedTensor(nodeBackend().binding.executeOp(kernel, named, inputs, 1)[0]);
}

/** The values of a tensor in another element type. */
export const cast = (id: number, from: number, to: number) =>
  execute('Cast', { SrcT: from, DstT: to, Truncate: false }, id);

/** A native tensor that is freed at the end of the block that it is declared in with `using`. */
export class OwnedTensor implements NativeTensor, Disposable {
  readonly id: number;
  readonly shape: number[];
  readonly dtype: number;

  constructor({ id, shape, dtype }: NativeTensor) {
    [this.id, this.shape, this.dtype] = [id, shape, dtype];
  }

  /** Uploads values. */
  static of(
    shape: number[],
    dtype: number,
    values: Uint8Array | Int32Array | Float32Array,
  ): OwnedTensor {
    return new OwnedTensor({
      id: nodeBackend().binding.createTensor(shape, dtype, values),
      shape,
      dtype,
    });
  }

  [Symbol.dispose](): void {
    nodeBackend().binding.deleteTensor(this.id);
  }
}
