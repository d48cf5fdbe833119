/**
 * Recording what libtensorflow's kernels do for a computation, to do it again as one call.
 *
 * TensorFlow.js runs every operation by itself, which costs it 20 microseconds whatever the size:
 * most of the time of a small model. A graph of the same kernels takes 3 to 5 each. The one way to
 * graphs that tfjs-node's addon has is to load a SavedModel.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import {
  type Attribute,
  attributeTypes,
  GRAPH_TAG,
  type GraphNode,
  savedModel,
} from './savedModel.ts';

/** What the addon tells of a tensor: its handle, and what TensorFlow calls its type. */
interface NativeTensor {
  id: number;
  shape: number[];
  dtype: number;
}

/** What this file uses of the addon. */
interface Binding {
  executeOp(op: string, attributes: Attribute[], inputs: number[], outputs: number): NativeTensor[];
  createTensor(
    shape: number[],
    dtype: number,
    values: Int32Array | Float32Array | Uint8Array,
  ): number;
  tensorDataSync(id: number): unknown;
  loadSavedModel(folder: string, tags: string): number;
  runSavedModel(
    session: number,
    inputs: number[],
    inputNames: string,
    outputNames: string,
  ): NativeTensor[];
  deleteSavedModel(session: number): void;
}

/** What this file uses of tfjs-node's backend. */
interface NodeBackend {
  binding: Binding;
  getInputTensorIds(tensors: tf.Tensor[]): number[];
  createOutputTensor(tensor: NativeTensor): tf.Tensor;
  tensorMap: { get(dataId: object): NativeTensor };
}

const backend = () => tf.backend() as unknown as NodeBackend;

/** Where a weight is read from at each run, so that new values are used. */
export interface Readable {
  read(): tf.Tensor;
}

/** A computation that was recorded: it takes tensors of the shapes that it was recorded with. */
export interface RecordedGraph {
  /** Computes with other inputs and the weights as they are now. The results are the caller's. */
  run(inputs: tf.Tensor[]): tf.Tensor[];
  /** Frees the graph. */
  dispose(): void;
}

/**
 * Tensors of so many elements are computed one after the other: all at once, they would need the
 * memory of all at once.
 */
const LARGE = 2 ** 18;

/** The graph that grows while a computation is recorded. */
class Recording {
  readonly nodes: GraphNode[] = [];
  private readonly names = new Map<number, string>();
  private readonly constants = new Map<string, string>();
  private lastLarge?: string;

  /** What a handle holds, as the name of an operation and the number of its output. */
  nameOf(id: number): string {
    const name = this.names.get(id);
    if (name !== undefined) return name;
    throw new Error(
      'A computation that is recorded may use its inputs, its weights and constants only.',
    );
  }

  knows(id: number): boolean {
    return this.names.has(id);
  }

  private add(node: Omit<GraphNode, 'name'>, ...ids: number[]): string {
    const name = `n${this.nodes.length}`;
    this.nodes.push({ name, ...node });
    for (const [i, id] of ids.entries()) this.names.set(id, `${name}:${i}`);
    return `${name}:0`;
  }

  /** What is given at each run. */
  placeholder({ id, dtype, shape }: NativeTensor): string {
    const attributes = [
      { name: 'dtype', type: attributeTypes.type, value: dtype },
      { name: 'shape', type: attributeTypes.shape, value: shape },
    ];
    return this.add({ op: 'Placeholder', inputs: [], attributes }, id);
  }

  /** What the computation makes of numbers, such as shapes: most are alike. */
  constant(
    id: number,
    dtype: number,
    shape: number[],
    values: Int32Array | Float32Array | Uint8Array,
  ): void {
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength).slice();
    const key = JSON.stringify([dtype, shape, Buffer.from(bytes).toString('base64')]);
    const known = this.constants.get(key);
    if (known !== undefined) {
      this.names.set(id, known);
      return;
    }
    const attributes = [{ name: 'dtype', type: attributeTypes.type, value: dtype }];
    this.constants.set(
      key,
      this.add({ op: 'Const', inputs: [], attributes, value: { dtype, shape, bytes } }, id),
    );
  }

  /** An operation that was run. */
  operation(op: string, attributes: Attribute[], names: string[], outputs: NativeTensor[]): void {
    const isLarge = outputs.some(({ shape }) => tf.util.sizeFromShape(shape) >= LARGE);
    const inputs =
      isLarge && this.lastLarge !== undefined ? [...names, `^${this.lastLarge}`] : names;
    const ids = outputs.map(({ id }) => id);
    const first = this.add(
      { op, inputs, attributes: [...attributes, ...(missing[op]?.(outputs[0]) ?? [])] },
      ...ids,
    );
    if (isLarge) this.lastLarge = first.slice(0, -':0'.length);
  }
}

/** Attributes that eager execution finds out by itself and tfjs-node therefore leaves out. */
const missing: Record<string, (output: NativeTensor) => Attribute[]> = {
  ExpandDims: ({ dtype }) => [
    { name: 'T', type: attributeTypes.type, value: dtype },
    { name: 'Tdim', type: attributeTypes.type, value: 3 },
  ],
};

/** Runs `compute` with an addon that tells `recording` what it is asked for. */
function recorded<T>(recording: Recording, compute: () => T): T {
  const { binding } = backend();
  const telling: Partial<Binding> = {
    executeOp(op, attributes, inputs, outputs) {
      const names = inputs.map((id) => recording.nameOf(id));
      const results = binding.executeOp(op, attributes, inputs, outputs);
      recording.operation(op, attributes, names, results);
      return results;
    },
    createTensor(shape, dtype, values) {
      const id = binding.createTensor(shape, dtype, values);
      recording.constant(id, dtype, Array.from(shape), values);
      return id;
    },
    tensorDataSync(id) {
      if (recording.knows(id))
        throw new Error('A computation that is recorded cannot read values.');
      return binding.tensorDataSync(id);
    },
  };
  backend().binding = Object.create(binding, Object.getOwnPropertyDescriptors(telling)) as Binding;
  try {
    return compute();
  } finally {
    backend().binding = binding;
  }
}

/**
 * Runs `compute` on the tensorflow backend and records it.
 *
 * @param inputs What differs from run to run. Their shapes and types do not.
 * @param weights What else it may read.
 * @param compute It must compute tensors from inputs, weights and constants by TensorFlow.js
 * operations, without reading values, at once.
 * @returns Its results, which are the caller's, and the graph that gives the same ones.
 * @throws If it uses other tensors, or values of tensors.
 */
export function recordGraph(
  inputs: tf.Tensor[],
  weights: readonly Readable[],
  compute: () => tf.Tensor[],
): { results: tf.Tensor[]; graph: RecordedGraph } {
  const recording = new Recording();
  // Values that only wait in JS would be taken for constants when they are first used.
  const given = [...inputs, ...weights.map((weight) => weight.read())];
  const ids = backend().getInputTensorIds(given);
  const names = given.map(({ dataId, shape }, i) =>
    recording.placeholder({ ...backend().tensorMap.get(dataId), shape, id: ids[i] }),
  );
  const results = recorded(recording, compute);
  try {
    const outputs = backend()
      .getInputTensorIds(results)
      .map((id) => recording.nameOf(id));
    const used = new Set([...outputs, ...recording.nodes.flatMap((node) => node.inputs)]);
    const isUsed = names.map((name) => used.has(name));
    const session = load(
      recording.nodes.filter(({ op, name }) => op !== 'Placeholder' || used.has(`${name}:0`)),
    );
    const inputNames = names.filter((_, i) => isUsed[i]).join();
    const usedWeights = weights.filter((_, i) => isUsed[inputs.length + i]);
    const graph = {
      run(values: tf.Tensor[]) {
        const { binding } = backend();
        const fed = [
          ...values.filter((_, i) => isUsed[i]),
          ...usedWeights.map((weight) => weight.read()),
        ];
        const tensors = binding.runSavedModel(
          session,
          backend().getInputTensorIds(fed),
          inputNames,
          outputs.join(),
        );
        return tensors.map((tensor) => backend().createOutputTensor(tensor));
      },
      dispose: () => backend().binding.deleteSavedModel(session),
    };
    return { results, graph };
  } catch (error) {
    tf.dispose(results);
    throw error;
  }
}

/** A session with the graph. It is loaded from a file that is gone afterwards. */
function load(nodes: readonly GraphNode[]): number {
  const folder = mkdtempSync(join(tmpdir(), 'svd-graph-'));
  try {
    writeFileSync(join(folder, 'saved_model.pb'), savedModel(nodes));
    return backend().binding.loadSavedModel(folder, GRAPH_TAG);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
