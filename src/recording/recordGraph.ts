/**
 * For small models on the tensorflow backend: records what libtensorflow's kernels do for a
 * computation, to do it again as one call.
 *
 * TensorFlow.js runs every operation by itself, which costs 20 microseconds whatever the size: most
 * of the time of a small model. In a graph, each of the same kernels costs 3 to 5. The only way to
 * graphs that tfjs-node's addon has is to load a SavedModel.
 */
import * as tf from '@tensorflow/tfjs-core';
import {
  type Attribute,
  attributeTypes,
  dtypes,
  interceptBinding,
  type NativeTensor,
  nodeBackend,
  OwnedTensor,
} from '../ops/tensorflow/binding.ts';
import { deleteGraph, loadGraph, nodesOf } from '../ops/tensorflow/graphs.ts';
import type { GraphNode, TensorValue } from '../ops/tensorflow/savedModel.ts';

/** A weight. It is read at each run, so that new values are used. */
export interface Readable {
  read(): tf.Tensor;
}

/** A computation that was recorded, for tensors of the shapes that it was recorded with. */
export interface RecordedGraph {
  /** Computes with other inputs and the current weights. The caller disposes of the results. */
  run(inputs: tf.Tensor[]): tf.Tensor[];
  /** Frees the graph. */
  dispose(): void;
}

/**
 * Tensors of so many elements are computed one after the other. A graph computes the others in any
 * order, and would need the memory of all large ones at the same time.
 */
const LARGE = 2 ** 18;

/** The graph that grows while a computation is recorded. */
class Recording {
  readonly nodes: GraphNode[] = [];
  /** Numbers that are passed at each run, by the names of their placeholders. */
  readonly numbers = new Map<string, TensorValue>();
  private readonly names = new Map<number, string>();
  private readonly constants = new Map<string, string>();
  private lastLarge?: string;

  /** The name of the operation that made a tensor, with the number of its output. */
  nameOf(id: number): string {
    const name = this.names.get(id);
    if (name !== undefined) return name;
    throw new Error(
      'A computation that is recorded may use only its inputs, its weights and constants.',
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

  /** A tensor that is passed at each run. */
  placeholder({ id, dtype, shape }: NativeTensor): string {
    const attributes = [
      { name: 'dtype', type: attributeTypes.type, value: dtype },
      { name: 'shape', type: attributeTypes.shape, value: shape },
    ];
    return this.add({ op: 'Placeholder', inputs: [], attributes }, id);
  }

  /** A tensor that the computation makes of numbers, such as a shape. Equal ones become one. */
  constant(
    id: number,
    dtype: number,
    shape: number[],
    values: Int32Array | Float32Array | Uint8Array,
  ): void {
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength).slice();
    const key = JSON.stringify([dtype, shape, Buffer.from(bytes).toString('base64')]);
    const name = this.constants.get(key) ?? this.newConstant(id, { dtype, shape, bytes });
    this.constants.set(key, name);
    this.names.set(id, name);
  }

  /**
   * A session computes with constants before it runs: of `1 - (1 - x)` it makes x, whose last bit
   * is another one. So it is not told which numbers are constant.
   */
  private newConstant(id: number, value: TensorValue): string {
    const { dtype, shape } = value;
    if (dtype !== dtypes.float32) {
      const attributes = [{ name: 'dtype', type: attributeTypes.type, value: dtype }];
      return this.add({ op: 'Const', inputs: [], attributes, value }, id);
    }
    const name = this.placeholder({ id, dtype, shape });
    this.numbers.set(name, value);
    return name;
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

  /**
   * A graph that was run.
   * @param given What its placeholders stand for.
   */
  graph(
    nodes: readonly GraphNode[],
    given: ReadonlyMap<string, string>,
    outputs: string[],
    results: NativeTensor[],
  ): void {
    const names = new Map(given);
    for (const { name, op, inputs, attributes } of nodes) {
      if (op === 'Placeholder') continue;
      const ids = results.filter((_, i) => outputs[i] === `${name}:0`).map(({ id }) => id);
      const node = { op, inputs: inputs.map((input) => names.get(input)!), attributes };
      names.set(`${name}:0`, this.add(node, ...ids));
    }
  }
}

/** Attributes that tfjs-node leaves out, because eager execution finds them out by itself. */
const missing: Record<string, (output: NativeTensor) => Attribute[]> = {
  ExpandDims: ({ dtype }) => [
    { name: 'T', type: attributeTypes.type, value: dtype },
    { name: 'Tdim', type: attributeTypes.type, value: dtypes.int32 },
  ],
};

/** Runs `compute` while the addon reports to `recording` what it is called with. */
function computeRecorded(recording: Recording, compute: () => tf.Tensor[]): tf.Tensor[] {
  using _ = interceptBinding((binding) => ({
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
    runSavedModel(session, inputs, inputNames, outputNames) {
      const names = inputs.map((id) => recording.nameOf(id));
      const results = binding.runSavedModel(session, inputs, inputNames, outputNames);
      const given = new Map(inputNames.split(',').map((name, i) => [name, names[i]]));
      recording.graph(nodesOf(session), given, outputNames.split(','), results);
      return results;
    },
    tensorDataSync(id) {
      if (recording.knows(id))
        throw new Error('A computation that is recorded cannot read values.');
      return binding.tensorDataSync(id);
    },
  }));
  return compute();
}

/**
 * Runs `compute` on the tensorflow backend and records it.
 *
 * @param inputs The tensors that differ from run to run. Their shapes and types stay.
 * @param weights The other tensors that it may read.
 * @param compute Computes tensors from inputs, weights and constants by TensorFlow.js operations,
 * without reading values and without waiting.
 * @returns Its results, which the caller disposes of, and a graph that computes the same.
 * @throws When it uses other tensors or reads values.
 */
export function recordGraph(
  inputs: tf.Tensor[],
  weights: readonly Readable[],
  compute: () => tf.Tensor[],
): { results: tf.Tensor[]; graph: RecordedGraph } {
  const recording = new Recording();
  const backend = nodeBackend();
  // Uploaded before recording starts: values that wait in JavaScript would become constants.
  const given = [...inputs, ...weights.map((weight) => weight.read())];
  const ids = backend.getInputTensorIds(given);
  const names = given.map(({ dataId, shape }, i) =>
    recording.placeholder({ ...backend.tensorMap.get(dataId), shape, id: ids[i] }),
  );
  const results = computeRecorded(recording, compute);
  try {
    const outputs = backend.getInputTensorIds(results).map((id) => recording.nameOf(id));
    const used = new Set([...outputs, ...recording.nodes.flatMap((node) => node.inputs)]);
    const isUsed = names.map((name) => used.has(name));
    const session = loadGraph(
      recording.nodes.filter(({ op, name }) => op !== 'Placeholder' || used.has(`${name}:0`)),
    );
    const numbers = [...recording.numbers].filter(([name]) => used.has(name));
    const inputNames = [
      ...names.filter((_, i) => isUsed[i]),
      ...numbers.map(([name]) => name),
    ].join();
    const usedWeights = weights.filter((_, i) => isUsed[inputs.length + i]);
    const graph: RecordedGraph = {
      run(values) {
        const passed = [
          ...values.filter((_, i) => isUsed[i]),
          ...usedWeights.map((weight) => weight.read()),
        ];
        const passedNumbers = numbers.map(([, { shape, dtype, bytes }]) =>
          OwnedTensor.of(shape, dtype, new Float32Array(bytes.buffer)),
        );
        try {
          const handles = [
            ...backend.getInputTensorIds(passed),
            ...passedNumbers.map(({ id }) => id),
          ];
          return backend.binding
            .runSavedModel(session, handles, inputNames, outputs.join())
            .map((tensor) => backend.createOutputTensor(tensor));
        } finally {
          for (const tensor of passedNumbers) tensor[Symbol.dispose]();
        }
      },
      dispose: () => deleteGraph(session),
    };
    return { results, graph };
  } catch (error) {
    tf.dispose(results);
    throw error;
  }
}
