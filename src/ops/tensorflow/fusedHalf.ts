/**
 * Linear maps in half precision with what follows them in one kernel of oneDNN, which only a graph
 * can call: it takes a list of names. Inputs and results are float32, and weights are taken as they
 * are held.
 */
import * as tf from '@tensorflow/tfjs-core';
import { shapeBackend, shapeOnlyOutput } from '../device.ts';
import { type Attribute, attributeTypes, cast, dtypes, nodeBackend } from './binding.ts';
import { computeDtype, computeIn, type HalfDtype, oneDnnServes } from './computeIn.ts';
import { loadGraph } from './graphs.ts';
import { numberOf } from './halfTensors.ts';
import { oneDNN } from './kernels.ts';
import type { GraphNode } from './savedModel.ts';

/** A linear map: weight `[I, O]`, bias `[O]`. */
interface Map2D {
  weight: tf.Tensor2D;
  bias: tf.Tensor1D;
}

const type = (name: string, value: number): Attribute => ({
  ...{ name, value },
  type: attributeTypes.type,
});
const flag = (name: string, value: boolean): Attribute => ({
  ...{ name, value },
  type: attributeTypes.bool,
});

const placeholder = (name: string, dtype: number): GraphNode => ({
  ...{ name, op: 'Placeholder', inputs: [] },
  attributes: [type('dtype', dtype)],
});

const castNode = (name: string, input: string, from: number, to: number): GraphNode => ({
  ...{ name, op: 'Cast', inputs: [`${input}:0`] },
  attributes: [type('SrcT', from), type('DstT', to), flag('Truncate', false)],
});

/** A product of matrices, of which `inputs` names two, and a bias if the kernel adds one. */
const productNode = (
  name: string,
  op: string,
  half: number,
  inputs: string[],
  besides: Attribute[] = [],
): GraphNode => ({
  ...{ name, op, inputs: inputs.map((input) => `${input}:0`) },
  attributes: [
    ...[type('T', half), flag('transpose_a', false), flag('transpose_b', false)],
    { name: '_kernel', type: attributeTypes.string, value: oneDNN._kernel },
    ...besides,
  ],
});

const binaryNode = (name: string, op: string, dtype: number, inputs: string[]): GraphNode => ({
  ...{ name, op, inputs: inputs.map((input) => `${input}:0`) },
  attributes: [type('T', dtype)],
});

/**
 * `x weight + bias` in float32 of a product in half precision. The graph adds in place. The kernel
 * that adds the bias itself takes up to three times as long on processors with `amx_bf16`.
 */
const linearNodes = (name: string, half: number, [x, weight, bias]: string[]): GraphNode[] => [
  productNode(`${name}_product`, '_MklMatMul', half, [x, weight]),
  castNode(`${name}_wide`, `${name}_product`, half, dtypes.float32),
  binaryNode(name, 'AddV2', dtypes.float32, [`${name}_wide`, bias]),
];

/** GELU of `x weight + bias`, all in half precision. */
const geluNodes = (name: string, half: number, [x, weight, bias]: string[]): GraphNode[] => [
  castNode(`${name}_bias`, bias, dtypes.float32, half),
  productNode(
    name,
    '_MklNativeFusedMatMul',
    half,
    [x, weight, `${name}_bias`],
    [
      { name: 'num_args', type: attributeTypes.int, value: 1 },
      { name: 'fused_ops', type: attributeTypes.string, value: ['BiasAdd', 'GeluExact'] },
      { name: 'epsilon', type: attributeTypes.float, value: 1e-4 },
    ],
  ),
];

/** What a graph computes of `x` and maps, which have the names `w0`, `b0`, `w1`, ... */
const between: Record<string, (half: number) => GraphNode[]> = {
  MatMul: (half) => linearNodes('y', half, ['narrow', 'w0', 'b0']),
  FeedForward: (half) => [
    castNode('value_bias', 'b0', dtypes.float32, half),
    productNode('value_product', '_MklMatMul', half, ['narrow', 'w0']),
    binaryNode('value', 'AddV2', half, ['value_product', 'value_bias']),
    ...geluNodes('gate', half, ['narrow', 'w1', 'b1']),
    binaryNode('gated', 'Mul', half, ['value', 'gate']),
    ...linearNodes('y', half, ['gated', 'w2', 'b2']),
  ],
};

const sessions = new Map<string, number>();

function sessionOf(graph: string, dtype: HalfDtype, maps: number): number {
  const half = dtypes[dtype];
  const key = `${graph} ${dtype}`;
  const known = sessions.get(key);
  if (known !== undefined) return known;
  const session = loadGraph([
    placeholder('x', dtypes.float32),
    ...Array.from({ length: maps }, (_, i) => [
      placeholder(`w${i}`, half),
      placeholder(`b${i}`, dtypes.float32),
    ]).flat(),
    castNode('narrow', 'x', dtypes.float32, half),
    ...between[graph](half),
  ]);
  sessions.set(key, session);
  return session;
}

function run(graph: string, x: tf.Tensor2D, maps: Map2D[], scratchValues: number): tf.Tensor2D {
  const dtype = computeDtype() as HalfDtype;
  const inputs = [x, ...maps.flatMap(({ weight, bias }) => [weight, bias])];
  const shape = [x.shape[0], maps[maps.length - 1].weight.shape[1]];
  const planned = shapeOnlyOutput(`Fused${graph}`, shape, inputs, 2 * scratchValues);
  if (planned) return planned as tf.Tensor2D;
  const backend = nodeBackend();
  const session = sessionOf(graph, dtype, maps.length);
  const rounded: number[] = [];
  const ids = backend.getInputTensorIds(inputs).map((id, i) => {
    const held = numberOf(inputs[i]);
    if (i % 2 === 0 || held === dtypes[dtype]) return id; // x and biases are narrowed in the graph
    rounded.push(cast(id, held, dtypes[dtype]).id);
    return rounded[rounded.length - 1];
  });
  const names = ['x', ...maps.flatMap((_, i) => [`w${i}`, `b${i}`])].map((name) => `${name}:0`);
  try {
    const [result] = backend.binding.runSavedModel(session, ids, names.join(), 'y:0');
    return backend.createOutputTensor(result) as tf.Tensor2D;
  } finally {
    for (const id of rounded) backend.binding.deleteTensor(id);
  }
}

const fused = {
  /** `x weight + bias`. */
  linear: (x: tf.Tensor2D, map: Map2D) =>
    run('MatMul', x, [map], x.size + x.shape[0] * map.weight.shape[1]),

  /** The feed-forward `out(value(x) * gelu(gate(x)))`. */
  feedForward: (x: tf.Tensor2D, value: Map2D, gate: Map2D, out: Map2D) => {
    const [rows, features, channels] = [x.shape[0], ...out.weight.shape];
    return run('FeedForward', x, [value, gate, out], x.size + rows * (3 * features + channels));
  },
};

const works = new Map<HalfDtype, boolean>();

/**
 * The fused kernels, if oneDNN serves the type that is computed in and they work in it: another
 * process has tried whether they end the process.
 */
export function fusedHalf(): typeof fused | undefined {
  const dtype = computeDtype();
  if (dtype === 'float32' || !oneDnnServes(dtype)) return undefined;
  if (shapeBackend()) return (works.get(dtype) ?? true) ? fused : undefined;
  if (!works.has(dtype)) works.set(dtype, tryFused(dtype));
  return works.get(dtype) ? fused : undefined;
}

/** Whether the fused kernels work. In a process that has not tried them, they may end it. */
export function tryFused(dtype: HalfDtype): boolean {
  const x = tf.ones<tf.Rank.R2>([2, 2]);
  const map = { weight: x, bias: tf.ones<tf.Rank.R1>([2]) };
  try {
    tf.tidy(() =>
      computeIn(dtype, () => [fused.linear(x, map), fused.feedForward(x, map, map, map)]),
    );
    return true;
  } catch {
    return false;
  } finally {
    tf.dispose([x, map.bias]);
  }
}
