/**
 * A program for TensorFlow.js' webgpu backend that reads the values of a checkpoint, as their bytes
 * are uploaded, in another order. It works on bits alone: WebGPU allows devices to flush subnormal
 * numbers, and to take infinities for anything, wherever they compute.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { ByteType, Range } from '../halfWeights/held.ts';
import { webgpu } from './backend.ts';

/** Where in a buffer the values of a tensor are: `first`, and so many further along each axis. */
export interface Places {
  first: number;
  strides: number[];
}

const stridesOf = (shape: number[]) =>
  shape.map((_, axis) => tf.util.sizeFromShape(shape.slice(axis + 1)));

/** Where the values of the transpose of a tensor are. */
export const transposed = (shape: number[], permutation: number[]): Places => ({
  first: 0,
  strides: permutation.map((axis) => stridesOf(shape)[axis]),
});

/** Where the values of a part of a tensor are. */
export const partOf = (shape: number[], { begin }: Range): Places => ({
  first: stridesOf(shape).reduce((sum, stride, axis) => sum + stride * begin[axis], 0),
  strides: stridesOf(shape),
});

/** The bits of value `i` as float32, by the type that `A` holds it in. */
const decode: Record<ByteType, string> = {
  F32: 'return bitcast<u32>(A[i]);',
  BF16: 'return half(i) << 16u;',
  F16: `
    let h = half(i);
    let sign = (h & 0x8000u) << 16u;
    let exponent = (h >> 10u) & 31u;
    let fraction = h & 0x3ffu;
    if (exponent == 31u) { return sign | 0x7f800000u | (fraction << 13u); }
    if (exponent > 0u) { return sign | ((exponent + 112u) << 23u) | (fraction << 13u); }
    if (fraction == 0u) { return sign; }
    let top = firstLeadingBit(fraction);
    return sign | ((top + 103u) << 23u) | ((fraction << (23u - top)) & 0x7fffffu);`,
};

const placeByAxes = `
    var rest = index;
    var at = uniforms.first;
    for (var axis = 3; axis >= 0; axis--) {
      let length = uniforms.lengths[axis];
      at += (rest % length) * uniforms.strides[axis];
      rest /= length;
    }
    return at;`;

const code = (type: ByteType, isWhole: boolean, packs: boolean) => `
  fn half(i : i32) -> u32 {
    return (bitcast<u32>(A[i / 2]) >> (16u * u32(i % 2))) & 0xffffu;
  }
  fn bits(i : i32) -> u32 { ${decode[type]} }
  fn place(index : i32) -> i32 { ${isWhole ? 'return index;' : placeByAxes} }
  fn main(index : i32) {
    if (index >= uniforms.size) { return; }
    result[index] = bitcast<i32>(${
      packs ? 'half(place(2 * index)) | (half(place(2 * index + 1)) << 16u)' : 'bits(place(index))'
    });
  }`;

/** The threads of a group: the most that every device has. */
const GROUP = 256;

/** As many numbers as axes are told to the program. */
const four = (numbers: number[], missing: number) => ({
  type: 'int32',
  data: [...Array(4 - numbers.length).fill(missing), ...numbers],
});

/**
 * A tensor of `shape`, at most four axes, of values in `words`: as float32, or with `packs` as they
 * are, two of half precision to a word and the last word filled up with any other.
 * @param places Where the values are. Default: one after the other.
 */
export function gather(
  words: tf.TensorInfo,
  type: ByteType,
  shape: number[],
  places?: Places,
  packs = false,
): tf.TensorInfo {
  const count = tf.util.sizeFromShape(shape);
  const outputShape = [packs ? Math.ceil(count / 2) : count];
  const program = {
    variableNames: ['A'],
    uniforms: 'lengths : vec4<i32>, strides : vec4<i32>, first : i32',
    outputShape,
    workgroupSize: [GROUP, 1, 1],
    dispatchLayout: { x: [0] },
    dispatch: [Math.ceil(outputShape[0] / GROUP), 1, 1],
    size: true,
    shaderKey: ['gather', type, places ? 'places' : 'whole', packs].join('_'),
    getUserCode: () => code(type, !places, packs),
  };
  const { first = 0, strides = [] } = places ?? {};
  const uniforms = [
    four(places ? shape : [], 1),
    four(strides, 0),
    { type: 'int32', data: [first] },
  ];
  const output = packs
    ? webgpu().makeTensorInfo(outputShape, 'int32')
    : webgpu().makeTensorInfo(shape, 'float32');
  // The program writes whole numbers also into what is read as float32.
  const asWritten = { ...output, shape: outputShape, dtype: 'int32' } as const;
  webgpu().runWebGPUProgram(program, [words], 'int32', uniforms, asWritten);
  return output;
}
