/**
 * Runs only the shapes of computations, to find how much memory they would take on a device:
 * nothing is computed or allocated.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Steps } from '../../layers/index.ts';
import { behaviours, type Call, type Device } from './allocators.ts';
import type { Trace } from './arena.ts';
import { type Inputs, shapeKernels } from './kernels.ts';
import { workOf } from './work.ts';

/** The allocations of a computation, in order. */
export interface Allocations {
  /**
   * Allocations that are not freed at the end are copies that kernels keep with weights for as long
   * as these live.
   */
  trace: Trace;
  /** Which allocations of the trace these copies are. */
  kept: number[];
  /** Where in the trace parts begin, by what `compute` calls them, and the work of each. */
  parts: { name: string; at: number; work: number }[];
  /** The largest tensor, in bytes. */
  largestBytes: number;
}

/** A device. */
export interface LimitedDevice {
  device: Device;
  /** The bytes of the largest tensor that it takes. Default: any. */
  tensorBytes?: number;
}

/** Memory that tensors share. */
interface Storage {
  /** Its place in the trace; none for storage of another backend. */
  allocation?: number;
  users: number;
}

const name = 'shapes';

/** A backend whose tensors have no values and whose kernels only follow shapes and lifetimes. */
class ShapeBackend extends tf.KernelBackend {
  /** Read where formulations are chosen, as if it were this device. */
  readonly simulatedDevice: Device;
  /** Read where slices are chosen. */
  readonly tensorBytes?: number;
  private readonly storages = new Map<tf.DataId, Storage>();
  private readonly references = new Map<tf.DataId, number>();
  /** Storage of tensors of other backends, such as weights: counted elsewhere. */
  private readonly foreign = new Map<tf.DataId, Storage>();
  /** Allocations that kernels keep for as long as the storage lives. */
  private readonly kept = new Map<Storage, number>();
  private allocationCount = 0;
  readonly allocations: Allocations = { trace: [], kept: [], parts: [], largestBytes: 0 };

  constructor({ device, tensorBytes }: LimitedDevice) {
    super();
    this.simulatedDevice = device;
    this.tensorBytes = tensorBytes;
  }

  private record(bytes: number): number {
    this.allocations.trace.push(bytes);
    return this.allocationCount++;
  }

  private free(allocation: number): void {
    this.allocations.trace.push(~allocation);
  }

  private storageOf(dataId: tf.DataId): Storage {
    const known = this.storages.get(dataId) ?? this.foreign.get(dataId);
    if (known) return known;
    const storage = { users: 1 };
    this.foreign.set(dataId, storage);
    return storage;
  }

  private allocate(shape: number[], dtype: tf.DataType): tf.DataId {
    const bytes = tf.util.sizeFromShape(shape) * tf.util.bytesPerElement(dtype);
    this.allocations.largestBytes = Math.max(this.allocations.largestBytes, bytes);
    const dataId = {};
    this.storages.set(dataId, { allocation: this.record(bytes), users: 1 });
    this.references.set(dataId, 1);
    return dataId;
  }

  private share(dataId: tf.DataId): tf.DataId {
    const storage = this.storageOf(dataId);
    storage.users++;
    const view = {};
    this.storages.set(view, storage);
    this.references.set(view, 1);
    return view;
  }

  /** Notes what a kernel keeps with an input, made once. */
  private keep({ dataId }: tf.TensorInfo, bytes: number): void {
    const storage = this.storageOf(dataId);
    if (this.kept.has(storage)) return;
    const copy = this.record(bytes);
    this.kept.set(storage, copy);
    if (storage.allocation === undefined) this.allocations.kept.push(copy);
  }

  /** Notes that a part of the computation begins. */
  begin(name: string): void {
    this.allocations.parts.push({ name, at: this.allocations.trace.length, work: 0 });
  }

  /** A tensor without values. */
  empty(shape: number[], dtype: tf.DataType = 'float32'): tf.Tensor {
    const dataId = this.allocate(shape, dtype);
    return tf.engine().makeTensorFromTensorInfo({ dataId, shape, dtype });
  }

  /** Runs a stock kernel. */
  follow(
    kernel: string,
    inputs: Inputs,
    attributes: Record<string, unknown>,
  ): tf.TensorInfo | tf.TensorInfo[] {
    const { sharesRanges } = behaviours[this.simulatedDevice];
    const planned = shapeKernels[kernel](inputs, attributes);
    const list = [planned].flat();
    const operands = Object.values(inputs);
    const { shape } = list[0];
    const outputs = this.besides({ kernel, inputs: operands, attributes, shape }, () =>
      list.map(({ shape, dtype = 'float32', view }) => {
        const shared = view === 'whole' || (view === 'range' && sharesRanges);
        const dataId = shared ? this.share(operands[0].dataId) : this.allocate(shape, dtype);
        return { dataId, shape, dtype };
      }),
    );
    return Array.isArray(planned) ? outputs : outputs[0];
  }

  /** Runs a kernel that is called by name. */
  outputOf(kernel: string, shape: number[], inputs: tf.Tensor[], scratchBytes: number): tf.Tensor {
    return this.besides({ kernel, inputs, shape }, () => this.empty(shape), scratchBytes);
  }

  /** Allocates outputs by `allocate`, and what the kernel needs besides. */
  private besides<T>(call: Call, allocate: () => T, scratchBytes = 0): T {
    const { scratch, kept } = behaviours[this.simulatedDevice];
    const part = this.allocations.parts.at(-1);
    if (part) part.work += workOf(call.kernel, call.inputs, call.shape);
    const copy = kept?.(call);
    if (copy) this.keep(copy.input, copy.bytes);
    const bytes = scratchBytes + scratch(call);
    if (bytes === 0) return allocate();
    const scratched = this.record(bytes);
    const outputs = allocate();
    this.free(scratched);
    return outputs;
  }

  override write(_values: tf.BackendValues, shape: number[], dtype: tf.DataType): tf.DataId {
    return this.allocate(shape, dtype);
  }

  override incRef(dataId: tf.DataId): void {
    this.references.set(dataId, (this.references.get(dataId) ?? 1) + 1);
  }

  override disposeData(dataId: tf.DataId): boolean {
    const left = (this.references.get(dataId) ?? 1) - 1;
    this.references.set(dataId, left);
    if (left > 0) return false;
    const storage = this.storages.get(dataId);
    this.references.delete(dataId);
    this.storages.delete(dataId);
    if (storage?.allocation !== undefined && --storage.users === 0) {
      this.free(storage.allocation);
      const copy = this.kept.get(storage);
      if (copy !== undefined) this.free(copy);
      this.kept.delete(storage);
    }
    return true;
  }

  override refCount(dataId: tf.DataId): number {
    return this.references.get(dataId) ?? 0;
  }

  override numDataIds(): number {
    return this.storages.size;
  }

  override readSync(): never {
    throw new Error('A computation whose memory is planned cannot depend on values.');
  }

  override floatPrecision(): 32 {
    return 32;
  }

  override epsilon(): number {
    return 1e-7;
  }
}

let registered = false;

function registerKernels(): void {
  if (registered) return;
  registered = true;
  for (const kernelName of Object.keys(shapeKernels)) {
    const kernelFunc: tf.KernelFunc = ({ inputs, attrs, backend }) =>
      (backend as ShapeBackend).follow(kernelName, inputs as Inputs, attrs ?? {});
    tf.registerKernel({ kernelName, backendName: name, kernelFunc });
  }
}

/** Makes an input without values. */
type MakeInput = (...shape: number[]) => tf.Tensor;

/**
 * Runs the shapes of `compute` as if on `device`, and returns what it would allocate. Layers have
 * to be built by `withoutWeights` and be used for nothing else; their weights are not counted. The
 * current backend and its tensors stay as they are.
 *
 * @param compute Called with a function that makes inputs without values, and one to call where a
 * part begins. Its result is dropped.
 */
export function dryRun(
  device: Device,
  compute: (input: MakeInput, begin: (part: string) => void) => unknown,
): Allocations {
  registerKernels();
  const backend = new ShapeBackend({ device });
  computeOn(backend, () =>
    tf.tidy(() => {
      const input = (...shape: number[]) => backend.empty(shape);
      compute(input, (part) => backend.begin(part));
    }),
  );
  return backend.allocations;
}

/**
 * As `dryRun`, for a long computation in steps, each of which is a part: between them, the program
 * can do other work.
 *
 * @param compute Makes its inputs, and returns steps that free all tensors but their result.
 */
export function* dryRunInSteps(
  device: LimitedDevice,
  compute: (input: MakeInput) => Steps<tf.Tensor | tf.Tensor[]>,
): Steps<Allocations> {
  registerKernels();
  const backend = new ShapeBackend(device);
  const made: tf.Tensor[] = [];
  const steps = computeOn(backend, () =>
    compute((...shape) => {
      made.push(backend.empty(shape));
      return made.at(-1)!;
    }),
  );
  try {
    for (;;) {
      const { done, value } = computeOn(backend, () => steps.next());
      if (done) {
        made.push(...[value].flat());
        return backend.allocations;
      }
      backend.begin(value);
      yield value;
    }
  } finally {
    computeOn(backend, () => {
      steps.return([]);
      tf.dispose(made);
    });
  }
}

/** The paths of the blocks that a computation runs, in order. */
export function pathsOf(device: Device, steps: (input: MakeInput) => Steps<unknown>): string[] {
  const paths: string[] = [];
  dryRun(device, (input) => {
    for (const path of steps(input)) paths.push(path);
  });
  return paths;
}

/** Does `compute` on a backend. */
function computeOn<T>(backend: ShapeBackend, compute: () => T): T {
  // The engine has no public way to compute elsewhere for a while: `tf.setBackend` would start what
  // it returns to.
  const engine = tf.engine() as unknown as { backendInstance: unknown; backendName: unknown };
  const { backendInstance, backendName } = engine;
  engine.backendInstance = backend;
  engine.backendName = name;
  try {
    return compute();
  } finally {
    engine.backendInstance = backendInstance;
    engine.backendName = backendName;
  }
}
