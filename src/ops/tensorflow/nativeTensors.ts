/**
 * Tensors that libtensorflow's own kernels make of a checkpoint's bytes, so that no JavaScript loop
 * runs over their values.
 */
import * as tf from '@tensorflow/tfjs-core';
import { deviceName } from '../device.ts';
import type { ByteType } from '../halfWeights/held.ts';
import { cast, dtypes, execute, nodeBackend, OwnedTensor } from './binding.ts';
import { oneDNN } from './kernels.ts';
import { chosen, isQuicker } from './trials.ts';

/**
 * TensorFlow's numbers of element types by their names in safetensors files. F64 is not among them:
 * when libtensorflow narrows it, the processor turns the smallest values into zeros.
 */
const types = { F32: dtypes.float32, F16: dtypes.float16, BF16: dtypes.bfloat16 } as const;

const onProcessor = () => deviceName() === 'tensorflow-cpu';

/**
 * libtensorflow takes memory that is so aligned over instead of copying it. JavaScript memory
 * starts at a multiple of 16.
 */
const ALIGNMENT = 64;

/**
 * Memory to read a tensor's bytes into. On a processor it is aligned, which saves a copy: a fifth of
 * the time of loading. JavaScript does not tell addresses, so each candidate is tried.
 */
export function uploadBuffer(bytes: number): Uint8Array {
  const memory = new Uint8Array(bytes + ALIGNMENT);
  // The last thread that uses memory that was taken over frees it. With a card that is not always
  // Node's thread, which has to do it.
  if (!onProcessor()) return memory.subarray(1, bytes + 1);
  const candidates = [0, 16, 32, 48].map((offset) => memory.subarray(offset, offset + bytes));
  return (
    candidates.find((candidate) => bytes >= 4 && isTakenOver(candidate.subarray(0, 4))) ??
    candidates[0]
  );
}

/** Whether a tensor made of these four bytes changes with them. */
function isTakenOver(bytes: Uint8Array): boolean {
  const raw = OwnedTensor.of([4], dtypes.uint8, bytes);
  bytes[0] = 1;
  using number = consume(raw, (input) => bitcast(input, dtypes.int32));
  const changed = nodeBackend().binding.tensorDataSync(number.id)[0] !== 0;
  bytes[0] = 0;
  return changed;
}

/** A tensor of bytes in libtensorflow's memory, with the arguments that `HalfHolder` has. */
export function tensorFromBytes(
  bytes: Uint8Array,
  type: ByteType,
  shape: number[],
  permutation: number[] | undefined,
  keepHalf: boolean,
): OwnedTensor {
  const dtype = types[type];
  const widens = type !== 'F32' && !keepHalf;
  const { transposeAs, when, by } = permutation
    ? transposition(type, keepHalf)
    : ({ transposeAs: dtype, when: 'never', by: 'usual' } as const);
  const moved = (input: OwnedTensor) => transpose(input, permutation!, by);
  // Without a kernel that makes other memory of it, the tensor would change with `bytes`.
  const remains = onProcessor() && !permutation && !widens;
  const raw = OwnedTensor.of(
    [...shape, type === 'F32' ? 4 : 2],
    dtypes.uint8,
    remains ? bytes.slice() : bytes,
  );
  let tensor = consume(raw, (input) => bitcast(input, transposeAs));
  if (when === 'first') tensor = consume(tensor, moved);
  if (transposeAs !== dtype) tensor = consume(tensor, (input) => bitcast(input, dtype));
  if (widens) tensor = consume(tensor, ({ id }) => cast(id, dtype, dtypes.float32));
  if (when === 'widened') tensor = consume(tensor, moved);
  return tensor;
}

/** How to transpose values on their way from bytes to float32. */
interface Transposition {
  /** TensorFlow's number of the type that the values are taken for. */
  transposeAs: number;
  /** `first`: before they are widened, when there is less to move. */
  when: 'first' | 'widened';
  by: 'oneDNN' | 'usual';
}

function transposition(type: ByteType, keepHalf: boolean): Transposition {
  const transposeAs = types[type];
  const { F32, BF16 } = types;
  if (type === 'F32')
    return { transposeAs, when: 'first', by: oneDnnIsQuicker(F32) ? 'oneDNN' : 'usual' };
  // Values are only moved, so oneDNN may take them for bfloat16, which it knows.
  if (oneDnnIsQuicker(BF16)) return { transposeAs: BF16, when: 'first', by: 'oneDNN' };
  if (!keepHalf && oneDnnIsQuicker(F32)) return { transposeAs, when: 'widened', by: 'oneDNN' };
  return { transposeAs, when: 'first', by: 'usual' };
}

/** The result of `compute`. Its input is freed, also if it fails. */
function consume(tensor: OwnedTensor, compute: (input: OwnedTensor) => OwnedTensor): OwnedTensor {
  using input = tensor;
  return compute(input);
}

/** The same bits as values of another type. */
const bitcast = ({ id, dtype }: OwnedTensor, type: number) =>
  execute('Bitcast', { T: dtype, type }, id);

function transpose(
  { id, dtype }: OwnedTensor,
  permutation: number[],
  by: Transposition['by'],
): OwnedTensor {
  using axes = OwnedTensor.of([permutation.length], dtypes.int32, Int32Array.from(permutation));
  const attributes = { T: dtype, Tperm: dtypes.int32 };
  return by === 'oneDNN'
    ? execute('_MklTranspose', { ...attributes, ...oneDNN }, id, axes.id)
    : execute('Transpose', attributes, id, axes.id);
}

/**
 * Whether oneDNN transposes this type quicker than the usual kernel does, by a trial. For
 * `[1280, 1280, 3, 3]` it takes 2.5 instead of 7 ms with bfloat16 on a processor with AVX-512, and
 * 900 instead of 20 ms on one without; with float32 it takes 11 instead of 24 ms there for `[10240,
 * 1280]`.
 */
function oneDnnIsQuicker(dtype: number): boolean {
  if (!onProcessor() || !oneDnnTransposes(dtype)) return false;
  return chosen(`transpose${dtype}`, () => {
    const timed = (by: Transposition['by']) => () => transposeZeros(dtype, [512, 512], by);
    return isQuicker(timed('oneDNN'), timed('usual'));
  });
}

const transposing = new Map<number, boolean>();

/** Whether oneDNN transposes this type: not every libtensorflow has the kernel. */
function oneDnnTransposes(dtype: number): boolean {
  if (!transposing.has(dtype)) {
    try {
      transposeZeros(dtype, [2, 2], 'oneDNN');
      transposing.set(dtype, true);
    } catch {
      transposing.set(dtype, false);
    }
  }
  return transposing.get(dtype)!;
}

function transposeZeros(dtype: number, size: number[], by: Transposition['by']): void {
  const shape = [...size, dtype === dtypes.float32 ? 4 : 2];
  const zeros = new Uint8Array(tf.util.sizeFromShape(shape));
  const bytes = OwnedTensor.of(shape, dtypes.uint8, zeros);
  using matrix = consume(bytes, (input) => bitcast(input, dtype));
  transpose(matrix, [1, 0], by)[Symbol.dispose]();
}
