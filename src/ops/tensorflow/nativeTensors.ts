/**
 * Tensors that libtensorflow makes of a checkpoint's bytes by its own kernels, so that no JS loop
 * sees their values; and tensors that stay in half precision in its memory.
 */
import * as tf from '@tensorflow/tfjs';
import { deviceName, shapeOnlyOutput } from './kernels.ts';

/**
 * Element types by their names in safetensors files, with their bytes and TensorFlow's numbers. F64
 * is not among them: libtensorflow narrows it with the processor told to make zeros of the smallest
 * values.
 */
const types = {
  F32: { bytes: 4, code: 1 },
  F16: { bytes: 2, code: 19 },
  BF16: { bytes: 2, code: 14 },
} as const;

/** An element type whose bytes `tensorFromBytes` takes. */
export type NativeType = keyof typeof types;

/** What the native addon tells of a tensor it has made. */
export interface NativeTensor {
  id: number;
  shape: number[];
  dtype: number;
}

interface Attribute {
  name: string;
  type: number;
  value: number | boolean | string | number[];
}

/**
 * What this file uses of tfjs-node's backend. Tensors of half precision are beyond its own methods,
 * so its native addon is called.
 */
interface NodeBackend {
  binding: Record<
    `TF_ATTR_${'TYPE' | 'BOOL' | 'STRING' | 'INT'}` | 'TF_FLOAT' | 'TF_INT32' | 'TF_UINT8',
    number
  > & {
    createTensor(shape: number[], type: number, values: Uint8Array | Int32Array): number;
    deleteTensor(id: number): void;
    tensorDataSync(id: number): ArrayLike<number>;
    executeOp(
      kernel: string,
      attributes: Attribute[],
      inputs: number[],
      outputs: number,
    ): NativeTensor[];
  };
  createOutputTensor(tensor: NativeTensor): tf.Tensor;
  getInputTensorIds(tensors: tf.Tensor[]): number[];
  tensorMap: { set(dataId: object, data: NativeTensor & { values: null; refCount: number }): void };
}

const backend = () => tf.backend() as unknown as NodeBackend;

/** Whether `tensorFromBytes` takes values of `type` on the current backend. */
export function takesBytes(type: string): type is NativeType {
  return tf.getBackend() === 'tensorflow' && type in types;
}

const onProcessor = () => deviceName() === 'tensorflow-cpu';

/**
 * libtensorflow takes memory that is so aligned over instead of copying it. JS memory starts at a
 * multiple of 16.
 */
const ALIGNMENT = 64;

/**
 * Memory to read a tensor's bytes into, for `tensorFromBytes` and free for other bytes after it. On
 * a processor it is aligned, which saves a copy: a fifth of the time of loading. JS does not tell
 * addresses, so what libtensorflow does with each candidate is looked at.
 */
export function uploadBuffer(bytes: number): Uint8Array {
  const memory = new Uint8Array(bytes + ALIGNMENT);
  // Memory taken over is let go of by whatever thread is the last to use it. With a card that is
  // not always Node's, which must do it.
  if (!onProcessor()) return memory.subarray(1, bytes + 1);
  const candidates = [0, 16, 32, 48].map((offset) => memory.subarray(offset, offset + bytes));
  return (
    candidates.find((candidate) => bytes >= 4 && isTakenOver(candidate.subarray(0, 4))) ??
    candidates[0]
  );
}

/** Whether a tensor made of these four bytes changes with them. */
function isTakenOver(bytes: Uint8Array): boolean {
  const { binding } = backend();
  const id = binding.createTensor([4], binding.TF_UINT8, bytes);
  bytes[0] = 1;
  const number = consume({ id, shape: [4], dtype: binding.TF_UINT8 }, 'Bitcast', {
    T: binding.TF_UINT8,
    type: binding.TF_INT32,
  });
  const changed = binding.tensorDataSync(number.id)[0] !== 0;
  binding.deleteTensor(number.id);
  bytes[0] = 0;
  return changed;
}

/**
 * The float32 tensor of little-endian `bytes`, which hold values of `type` in `shape`; with
 * `permutation`, its transpose. With `keepHalf`, values of half precision remain in it: see
 * `isHalf`.
 */
export function tensorFromBytes(
  bytes: Uint8Array,
  type: NativeType,
  shape: number[],
  permutation?: number[],
  keepHalf = false,
): tf.Tensor {
  const { binding } = backend();
  const { bytes: width, code } = types[type];
  const wide = code === binding.TF_FLOAT;
  // nothing below makes other memory of it
  const remains = onProcessor() && !permutation && (wide || keepHalf);
  const id = binding.createTensor(
    [...shape, width],
    binding.TF_UINT8,
    remains ? bytes.slice() : bytes,
  );
  // Before widening, there is less to move; and since values are only moved, oneDNN may take half
  // for bfloat16, the one of the two that it knows.
  const asBfloat16 = permutation !== undefined && !wide && oneDnnIsQuicker(types.BF16.code);
  const afterWidening =
    permutation !== undefined &&
    !wide &&
    !keepHalf &&
    !asBfloat16 &&
    oneDnnIsQuicker(binding.TF_FLOAT);
  const byOneDnn =
    asBfloat16 || afterWidening || (permutation !== undefined && wide && oneDnnIsQuicker(code));
  const moved = asBfloat16 ? types.BF16.code : code;
  let tensor = consume({ id, shape, dtype: binding.TF_UINT8 }, 'Bitcast', {
    T: binding.TF_UINT8,
    type: moved,
  });
  if (permutation && !afterWidening) tensor = transpose(tensor, permutation, byOneDnn);
  if (moved !== code) tensor = consume(tensor, 'Bitcast', { T: moved, type: code });
  if (keepHalf && !wide) return halfTensor(tensor);
  if (!wide) tensor = consume(tensor, 'Cast', widening(tensor));
  if (afterWidening) tensor = transpose(tensor, permutation, byOneDnn);
  return backend().createOutputTensor(tensor);
}

/** TensorFlow's number of the type that the data behind a tensor has, if it is not the tensor's. */
const halves = new WeakMap<object, number>();

/** TensorFlow.js knows no half precision, so the tensor says that it is float32. */
function halfTensor({ id, shape, dtype }: NativeTensor): tf.Tensor {
  const dataId = {};
  backend().tensorMap.set(dataId, { id, shape, dtype, values: null, refCount: 1 });
  halves.set(dataId, dtype);
  return tf.engine().makeTensorFromTensorInfo({ dataId, shape, dtype: 'float32' });
}

/**
 * Whether a tensor that says it is float32 holds half precision. Nothing but `widened` can read it;
 * all else that handles tensors can.
 */
export function isHalf(tensor: tf.Tensor): boolean {
  return halves.has(tensor.dataId);
}

/** Makes a tensor without values count as one that holds half precision, for planning memory. */
export function declareHalf({ dataId }: tf.Tensor): void {
  halves.set(dataId, types.F16.code);
}

/** The float32 values of a tensor: a new tensor if it holds half precision, else itself. */
export function widened(tensor: tf.Tensor): tf.Tensor {
  const dtype = halves.get(tensor.dataId);
  if (dtype === undefined) return tensor;
  const planned = shapeOnlyOutput('Cast', tensor.shape, [tensor]);
  if (planned) return planned;
  if (tf.getBackend() !== 'tensorflow') {
    throw new Error(
      'These weights are in half precision in the memory of the tensorflow backend. ' +
        "Load them with `weightDtype: 'float32'`, or on the backend that they are used on.",
    );
  }
  const [id] = backend().getInputTensorIds([tensor]);
  return backend().createOutputTensor(toFloat({ id, shape: tensor.shape, dtype }));
}

/**
 * The float32 values of a range of a tensor's, as `tf.slice` takes it: the rest of half precision
 * is not widened.
 */
export function widenedSlice(tensor: tf.Tensor, begin: number[], size: number[]): tf.Tensor {
  const dtype = halves.get(tensor.dataId);
  if (dtype === undefined || tf.getBackend() !== 'tensorflow')
    return tf.tidy(() => tf.slice(widened(tensor), begin, size));
  const { binding } = backend();
  const range = [begin, size].map((list) =>
    binding.createTensor([list.length], binding.TF_INT32, Int32Array.from(list)),
  );
  try {
    const [id] = backend().getInputTensorIds([tensor]);
    const part = execute('Slice', { T: dtype, Index: binding.TF_INT32 }, id, ...range);
    try {
      return backend().createOutputTensor(toFloat({ ...part, dtype }));
    } finally {
      binding.deleteTensor(part.id);
    }
  } finally {
    for (const id of range) binding.deleteTensor(id);
  }
}

/** Values of half precision in float32, exactly. */
function toFloat(tensor: NativeTensor): NativeTensor {
  return execute('Cast', widening(tensor), tensor.id);
}

const widening = ({ dtype }: NativeTensor) => ({
  SrcT: dtype,
  DstT: backend().binding.TF_FLOAT,
  Truncate: false,
});

function transpose(input: NativeTensor, permutation: number[], byOneDnn: boolean): NativeTensor {
  const { binding } = backend();
  const axes = binding.createTensor(
    [permutation.length],
    binding.TF_INT32,
    Int32Array.from(permutation),
  );
  const attributes = { T: input.dtype, Tperm: binding.TF_INT32 };
  try {
    return byOneDnn
      ? consume(input, '_MklTranspose', { ...attributes, _kernel: 'MklNameChangeOp' }, axes)
      : consume(input, 'Transpose', attributes, axes);
  } finally {
    binding.deleteTensor(axes);
  }
}

/** By type. */
const quicker = new Map<number, boolean>();

/**
 * Whether oneDNN transposes this type quicker than the usual kernel does, by trying both once. For
 * `[1280, 1280, 3, 3]` it takes 2.5 instead of 7 ms with bfloat16 on a processor with AVX-512, and
 * 900 instead of 20 ms on one without; with float32 it takes 11 instead of 24 ms there for `[10240,
 * 1280]`. Not every libtensorflow has it.
 */
function oneDnnIsQuicker(dtype: number): boolean {
  if (!onProcessor()) return false;
  if (!quicker.has(dtype)) {
    try {
      quicker.set(dtype, timeToTranspose(dtype, true) < timeToTranspose(dtype, false));
    } catch {
      // this libtensorflow has no such kernel
      for (const { code } of Object.values(types)) quicker.set(code, false);
    }
  }
  return quicker.get(dtype)!;
}

/** The shortest of a few runs. */
function timeToTranspose(dtype: number, byOneDnn: boolean): number {
  const { binding } = backend();
  const width = dtype === binding.TF_FLOAT ? 4 : 2;
  const side = 512;
  const times = Array.from({ length: 3 }, () => {
    const id = binding.createTensor(
      [side, side, width],
      binding.TF_UINT8,
      new Uint8Array(side * side * width),
    );
    const raw = { id, shape: [side, side, width], dtype: binding.TF_UINT8 };
    const matrix = consume(raw, 'Bitcast', { T: binding.TF_UINT8, type: dtype });
    const start = performance.now();
    const result = transpose({ ...matrix, dtype }, [1, 0], byOneDnn);
    const time = performance.now() - start;
    binding.deleteTensor(result.id);
    return time;
  });
  return Math.min(...times);
}

/**
 * Runs a kernel that gives one tensor. Attributes: a number stands for a type, a list for integers.
 */
export function execute(
  kernel: string,
  attributes: Record<string, Attribute['value']>,
  ...inputs: number[]
): NativeTensor {
  const { binding } = backend();
  const {
    TF_ATTR_BOOL: boolean,
    TF_ATTR_TYPE: number,
    TF_ATTR_STRING: string,
    TF_ATTR_INT: object,
  } = binding;
  const kinds = { boolean, number, string, object };
  const typed = Object.entries(attributes).map(([name, value]) => ({
    name,
    type: kinds[typeof value as keyof typeof kinds],
    value,
  }));
  return binding.executeOp(kernel, typed, inputs, 1)[0];
}

/** The result of a kernel; `input` is freed, also if the kernel fails. */
function consume(
  input: NativeTensor,
  kernel: string,
  attributes: Record<string, Attribute['value']>,
  ...others: number[]
): NativeTensor {
  try {
    return execute(kernel, attributes, input.id, ...others);
  } finally {
    backend().binding.deleteTensor(input.id);
  }
}
