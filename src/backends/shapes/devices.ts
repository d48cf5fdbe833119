/** What devices need for a kernel besides its output: memory that it frees at its end, and memory that it keeps with a weight. */
import * as tf from '@tensorflow/tfjs';
import type { AllocatorRules } from './arena.ts';

/** Devices as formulations are chosen by: libtensorflow on a processor is `tensorflow-cpu`, on a graphics card `tensorflow-gpu`. */
export const devices = ['tensorflow-cpu', 'tensorflow-gpu', 'webgpu', 'wasm', 'cpu'] as const;

/** One of `devices`. */
export type Device = (typeof devices)[number];

/** A kernel at work. */
export interface Call {
  kernel: string;
  inputs: tf.TensorInfo[];
  outputBytes: number;
}

/** How a device uses memory. */
export interface Behaviour {
  allocator: AllocatorRules;
  /** Whether ranges of the first axis are views, as in libtensorflow. */
  sharesRanges: boolean;
  /** Bytes that a kernel takes besides its output and frees at its end. */
  scratch(call: Call): number;
  /** The input of which a kernel keeps a copy of its own for as long as the input lives, if there is one. */
  packed?(call: Call): tf.TensorInfo | undefined;
}

const bytesOf = ({ shape }: tf.TensorInfo) => 4 * tf.util.sizeFromShape(shape);

/** A convolution or product whose bias is added by a second kernel, with both results in memory. */
const biasApart = ({ kernel, inputs, outputBytes }: Call) =>
  (kernel === 'FusedConv2D' || kernel === '_FusedMatMul') && inputs[2] ? outputBytes : 0;

/** Softmax made of five kernels: two intermediate results of its size. */
const softmaxInParts = ({ kernel, outputBytes }: Call) => (kernel === 'Softmax' ? 2 * outputBytes : 0);

/** TensorFlow's best-fit allocator with coalescing (`bfc_allocator.cc`), which serves processors too by TF_CPU_ALLOCATOR_USE_BFC. */
const bfc: AllocatorRules = { granule: 256, firstRegion: 2 * 2 ** 20, wholeBelow: 128 * 2 ** 20 };

/** Emscripten's dlmalloc takes the best fit of one heap that grows; malloc and graphics drivers are taken to do no worse. */
const heap: AllocatorRules = { granule: 16 };

const libtensorflow: Behaviour = { allocator: bfc, sharesRanges: true, scratch: biasApart };

export const behaviours: Record<Device, Behaviour> = {
  'tensorflow-cpu': libtensorflow,
  'tensorflow-gpu': libtensorflow,
  webgpu: { allocator: heap, sharesRanges: false, scratch: softmaxInParts },
  wasm: {
    allocator: heap,
    sharesRanges: false,
    // A sum over other axes than the last transposes its input first.
    scratch: ({ kernel, inputs }) => (kernel === 'Mean' || kernel === 'Sum' || kernel === 'Max' ? bytesOf(inputs[0]) : 0),
    // XNNPACK keeps filters and right factors in an order of its own.
    packed: ({ kernel, inputs }) => {
      if (kernel === 'Conv2D' || kernel === 'FusedConv2D') return inputs[1];
      const isProduct = kernel === 'BatchMatMul' || kernel === '_FusedMatMul';
      return isProduct && inputs[1].shape[0] === 1 ? inputs[1] : undefined;
    },
  },
  cpu: { allocator: heap, sharesRanges: false, scratch: (call) => biasApart(call) + softmaxInParts(call) },
};
