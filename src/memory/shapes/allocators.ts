/**
 * The memory that kernels take on each device besides their outputs: scratch memory that they free
 * at their end, and memory that they keep with a weight.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { AllocatorRules } from './arena.ts';

/**
 * Devices as formulations are chosen by: libtensorflow on a processor is `tensorflow-cpu`, on a
 * graphics card `tensorflow-gpu`.
 */
export const devices = ['tensorflow-cpu', 'tensorflow-gpu', 'webgpu', 'wasm', 'cpu'] as const;

/** One of `devices`. */
export type Device = (typeof devices)[number];

/** A kernel at work. */
export interface Call {
  kernel: string;
  inputs: tf.TensorInfo[];
  /** None if it is called by name. */
  attributes?: Record<string, unknown>;
  /** Of its first output. */
  shape: number[];
}

/** How a device uses memory. */
export interface Behaviour {
  /** How it divides memory, or that it keeps buffers by their sizes. */
  allocator: AllocatorRules | 'buffers';
  /** Whether ranges of the first axis are views, as in libtensorflow. */
  sharesRanges: boolean;
  /** Bytes that a kernel takes besides its output and frees at its end. */
  scratch(call: Call): number;
  /** The copy that a kernel keeps of one of its inputs, a filter or matrix, while that lives. */
  kept?(call: Call): { input: tf.TensorInfo; bytes: number } | undefined;
}

const bytesOf = (shape: number[]) => 4 * tf.util.sizeFromShape(shape);

/** A convolution or product whose bias is added by a second kernel, with both results in memory. */
const biasApart = ({ kernel, inputs, shape }: Call) =>
  (kernel === 'FusedConv2D' || kernel === '_FusedMatMul') && inputs[2] ? bytesOf(shape) : 0;

/** Softmax made of five kernels: two intermediate results of its size. */
const softmaxInParts = ({ kernel, shape }: Call) => (kernel === 'Softmax' ? 2 * bytesOf(shape) : 0);

/** A sum transposes its input first. */
const transposedFirst = ({ kernel, inputs: [x] }: Call) =>
  ['Max', 'Mean', 'Sum'].includes(kernel) ? bytesOf(x.shape) : 0;

/** The same, but for a sum over the last axis. */
function transposedUnlessLast(call: Call): number {
  const { axis } = call.attributes ?? {};
  const isLast = axis === -1 || axis === call.inputs[0]?.shape.length - 1;
  return isLast ? 0 : transposedFirst(call);
}

/**
 * TensorFlow's best-fit allocator with coalescing (`bfc_allocator.cc`), which serves processors too
 * by TF_CPU_ALLOCATOR_USE_BFC.
 */
const bfc: AllocatorRules = { granule: 256, firstRegion: 2 * 2 ** 20, wholeBelow: 128 * 2 ** 20 };

/**
 * Emscripten's dlmalloc takes the best fit of one heap that grows; malloc is taken to do no
 * worse.
 */
const heap: AllocatorRules = { granule: 16 };

const libtensorflow: Behaviour = { allocator: bfc, sharesRanges: true, scratch: biasApart };

/**
 * XNNPACK keeps filters and right factors in an order of its own, and for convolutions the
 * addresses of all pixels that outputs see.
 */
function xnnpackCopies({ kernel, inputs: [, input], shape }: Call) {
  const packed = input && bytesOf(input.shape);
  if (kernel === 'Conv2D' || kernel === 'FusedConv2D') {
    const [taps, pixels] = [input.shape, shape.slice(1)].map(([height, width]) => height * width);
    return { input, bytes: packed + (taps === 1 ? 0 : 4 * taps * pixels) };
  }
  const isProduct = kernel === 'BatchMatMul' || kernel === '_FusedMatMul';
  return isProduct && input.shape[0] === 1 ? { input, bytes: packed } : undefined;
}

export const behaviours: Record<Device, Behaviour> = {
  'tensorflow-cpu': libtensorflow,
  'tensorflow-gpu': libtensorflow,
  webgpu: { allocator: 'buffers', sharesRanges: false, scratch: transposedUnlessLast },
  wasm: {
    allocator: heap,
    sharesRanges: false,
    scratch: transposedFirst,
    kept: xnnpackCopies,
  },
  cpu: {
    allocator: heap,
    sharesRanges: false,
    scratch: (call) => biasApart(call) + softmaxInParts(call),
  },
};
