/** The base class of every layer. */
import * as tf from '@tensorflow/tfjs';
import { type ComputeDtype, computeDtypes, computeIn } from '../ops/index.ts';
import { checkOneOf } from '../text/messages.ts';
import { checkCall } from './checkCall.ts';
import { type Checks, checkValues } from './checks.ts';
import type { Inputs } from './inputs.ts';
import type { Layout, Parameter } from './parameter.ts';
import { inFrames } from './videos.ts';
import { holdInFloat32, isMeta, metaTensor, onMeta, releaseValues } from './weights.ts';

export type { Axes, Inputs } from './inputs.ts';
export { weightOf, weightSlice, withoutWeights } from './weights.ts';

/** Arguments that every layer accepts: `name`, `trainable`, `inputShape`, ... */
export type LayerArgs = NonNullable<ConstructorParameters<typeof tf.layers.Layer>[0]>;

/** Arguments of the layers that mix the frames of a video. */
export interface FramesArgs extends LayerArgs {
  /**
   * Frames per video for calls without `{ numFrames }`, as in `tf.sequential`, which passes no call
   * arguments on.
   */
  numFrames?: number;
}

/** Call arguments other than tensors, which are inputs. A layer ignores those it does not use. */
export interface CallArgs {
  /** Frames per video; it has to divide the batch of frames. */
  numFrames?: number;
  /** `[height, width]` of the output of an up block. Default: twice those of the input. */
  upsampleSize?: [number, number];
  /** `[height, width]` of the output of `Upsample2D`. Default: twice those of the input. */
  outputSize?: [number, number];
}

type Initializer = ReturnType<typeof tf.initializers.zeros>;
type AnyTensors = tf.Tensor | tf.Tensor[] | tf.SymbolicTensor | tf.SymbolicTensor[];
type ShapeOf<Output> = Output extends tf.Tensor[] ? tf.Shape[] : tf.Shape;
type Symbolic<Output> = Output extends tf.Tensor[] ? tf.SymbolicTensor[] : tf.SymbolicTensor;

/**
 * A layer made of named child layers. Its weights are its own parameters followed by its
 * children's, in order of declaration. Constructor arguments fix every shape, as in PyTorch; inputs
 * only have to agree with them.
 */
export abstract class Block<
  Args extends LayerArgs = LayerArgs,
  Output extends tf.Tensor | tf.Tensor[] = tf.Tensor,
> extends tf.layers.Layer {
  /** What each argument has to be, with its default filled in. */
  static checks: Checks = {};
  /** The constructor arguments that are given, JSON-able. */
  readonly args: Args;
  // Base-class getters run before these exist: read them with `?? []`.
  private ownParameters?: Parameter[];
  private childBlocks?: AnyBlock[];
  private scope = '';
  /**
   * The call arguments while `apply` runs. TensorFlow.js does not pass them to `build` and
   * `computeOutputShape`.
   */
  protected applying?: CallArgs;
  private chosenComputeDtype: ComputeDtype = 'float32';

  constructor(args: Args) {
    super(args);
    this.args = Object.fromEntries(
      Object.entries(args).filter(([, value]) => value !== undefined),
    ) as Args;
    checkValues(this);
  }

  /** Sentences on arguments that are right by themselves and do not fit each other. */
  misfits(): (string | undefined)[] {
    return [];
  }

  /** The constructor arguments with defaults filled in. */
  get config(): Args {
    return this.args;
  }

  /**
   * Adopts `block` under its name, which is the attribute path that diffusers uses (`resnets.0`,
   * `conv1`, ...).
   */
  protected child<T extends AnyBlock>(block: T): T {
    this.childBlocks ??= [];
    this.childBlocks.push(block);
    if (!this.trainable) block.trainable = false;
    return block;
  }

  /** Direct children in order of declaration. */
  get children(): readonly AnyBlock[] {
    return this.childBlocks ?? [];
  }

  /** Declares one weight. Call it in `buildSelf`. */
  protected parameter(
    key: string,
    shape: number[],
    layout: Layout,
    initializer: Initializer,
    trainable = true,
  ): tf.LayerVariable {
    if (!shape.every((length) => Number.isInteger(length) && length > 0)) {
      const given = JSON.stringify(this.args);
      throw new Error(
        `${this.label} cannot be built: its ${key} would have the shape [${shape}]. Check its ` +
          `arguments, ${given}.`,
      );
    }
    const add = (init: Initializer) =>
      this.addWeight(this.scope + key, shape, 'float32', init, undefined, trainable);
    const empty = { apply: () => metaTensor(shape) };
    const variable = isMeta()
      ? onMeta(() => add(empty as unknown as Initializer))
      : add(initializer);
    this.ownParameters ??= [];
    this.ownParameters.push({ key, variable, layout });
    return variable;
  }

  /** Declares this block's own weights; children build themselves. */
  protected buildSelf(): void {}

  override build(_inputShape?: tf.Shape | tf.Shape[]): void {
    if (this.built) return;
    // `apply` puts the layer's name in front of its weights' names. A direct `build` has to do it,
    // as other layers of a model have weights of the same names.
    if (!this.applying && this.scope === '') this.scope = `${this.name}/`;
    this.buildSelf();
    for (const child of this.children) {
      child.scope = `${this.scope}${child.name}/`;
      child.build();
    }
    this.built = true;
  }

  /** Every weight below this block, with the key it has in a checkpoint relative to this block. */
  parameters(): Parameter[] {
    const own = this.ownParameters ?? [];
    const below = this.children.flatMap((child) =>
      child.parameters().map((p) => ({ ...p, key: `${child.name}.${p.key}` })),
    );
    return [...own, ...below];
  }

  /**
   * Frees the values of every weight below this block and keeps the declarations. `loadWeights`
   * fills them again.
   */
  releaseWeights(): void {
    releaseValues(this.parameters());
  }

  /**
   * The values of every weight. Weights in half precision become float32 for good, as TensorFlow.js
   * reads nothing else.
   */
  override getWeights(trainableOnly = false): tf.Tensor[] {
    for (const variable of this.weights) holdInFloat32(variable);
    return super.getWeights(trainableOnly);
  }

  /** The computation, on tensors in an array. Runs inside `tf.tidy`. */
  protected abstract forward(inputs: tf.Tensor[], kwargs: CallArgs): Output;

  /** The tensors that the layer takes, by name, in order, with their axes. `apply` checks them. */
  get inputAxes(): Inputs | undefined {
    return undefined;
  }

  private get label(): string {
    return `${this.getClassName()} "${this.name}"`;
  }

  protected override assertInputCompatibility(inputs: AnyTensors): void {
    super.assertInputCompatibility(inputs);
    checkCall(this.label, this, [inputs].flat(), this.applying);
  }

  /**
   * Calls the layer. It returns tensors for tensors, and symbolic tensors, for `tf.model`, for
   * symbolic ones.
   * @throws Error if the inputs do not fit `inputAxes`.
   */
  override apply(inputs: tf.Tensor | tf.Tensor[], kwargs?: CallArgs): Output;
  override apply(
    inputs: tf.SymbolicTensor | tf.SymbolicTensor[],
    kwargs?: CallArgs,
  ): Symbolic<Output>;
  override apply(inputs: AnyTensors, kwargs?: CallArgs): AnyTensors;
  override apply(inputs: AnyTensors, kwargs?: CallArgs): AnyTensors {
    this.applying = kwargs ?? {};
    try {
      return super.apply(inputs, kwargs);
    } finally {
      this.applying = undefined;
    }
  }

  /**
   * Called with each output of the block. Returns what the caller receives in its place, which may
   * be the same. It runs inside `tf.tidy`.
   */
  onOutput?: (output: tf.Tensor) => tf.Tensor;

  /** The output after `onOutput`, which is called with each one of several. */
  emit<T extends tf.Tensor | tf.Tensor[]>(output: T): T {
    const { onOutput } = this;
    if (!onOutput) return output;
    return (Array.isArray(output) ? output.map(onOutput) : onOutput(output)) as T;
  }

  override call(inputs: tf.Tensor | tf.Tensor[], kwargs: CallArgs = {}): Output {
    const forward = (frames: tf.Tensor[], ofVideos: CallArgs) =>
      this.forward(frames, { ...this.defaultKwargs, ...kwargs, ...ofVideos });
    const run = () => inFrames(this.inputAxes, [inputs].flat(), forward);
    return tf.tidy(() => this.emit(computeIn(this.computeDtype, run)));
  }

  /**
   * The type in which products and convolutions of this block and its children compute. Weights,
   * inputs, outputs and all else stay float32. Default `float32`; `float16` and `bfloat16` need the
   * tensorflow backend. While gradients are recorded, everything is float32.
   */
  get computeDtype(): ComputeDtype {
    return this.chosenComputeDtype;
  }
  set computeDtype(dtype: ComputeDtype) {
    checkOneOf('computeDtype', dtype, computeDtypes);
    this.chosenComputeDtype = dtype;
    for (const child of this.children) child.computeDtype = dtype;
  }

  /**
   * Defaults of the call arguments: those of construction, overridden by those with which the layer
   * was put into a `tf.model`, whose `predict` does not pass them on. None if it was put there
   * several times with different ones.
   */
  private get defaultKwargs(): CallArgs {
    const { numFrames } = this.args as FramesArgs;
    const own: CallArgs = numFrames === undefined ? {} : { numFrames };
    const given = new Set(
      this.inboundNodes.map(({ callArgs }) => JSON.stringify({ ...own, ...callArgs })),
    );
    if (given.size === 0) return own;
    return given.size === 1 ? JSON.parse([...given][0]) : {};
  }

  /** The shape of the output: that of the first input, if a layer does not say otherwise. */
  override computeOutputShape(inputShape: tf.Shape | tf.Shape[]): ShapeOf<Output> {
    return firstShape(inputShape) as ShapeOf<Output>;
  }

  override getConfig(): tf.serialization.ConfigDict {
    // The base class last: `trainable` may have changed since construction.
    return { ...(this.args as unknown as tf.serialization.ConfigDict), ...super.getConfig() };
  }

  /** Frees every weight, also of a layer that was built and never applied. */
  override dispose(): ReturnType<tf.layers.Layer['dispose']> {
    const used = (this as unknown as { _refCount: number | null })._refCount !== null;
    if (used) return super.dispose();
    const numDisposedVariables = this.weights.length;
    this.disposeWeights();
    return { refCountAfterDispose: 0, numDisposedVariables };
  }

  /**
   * Whether training changes its weights. Setting it sets that of every layer below. Default true.
   */
  override get trainable(): boolean {
    return super.trainable;
  }
  override set trainable(trainable: boolean) {
    super.trainable = trainable;
    for (const child of this.children) child.trainable = trainable;
  }

  /** The weights that training changes, of this layer and those below. */
  override get trainableWeights(): tf.LayerVariable[] {
    return [...super.trainableWeights, ...this.children.flatMap((child) => child.trainableWeights)];
  }
  override set trainableWeights(weights: tf.LayerVariable[]) {
    super.trainableWeights = weights;
  }

  /** All other weights, of this layer and those below. */
  override get nonTrainableWeights(): tf.LayerVariable[] {
    return [
      ...super.nonTrainableWeights,
      ...this.children.flatMap((child) => child.nonTrainableWeights),
    ];
  }
  override set nonTrainableWeights(weights: tf.LayerVariable[]) {
    super.nonTrainableWeights = weights;
  }
}

/** A block of any arguments and any number of outputs. */
export type AnyBlock = Block<LayerArgs, tf.Tensor | tf.Tensor[]>;

/**
 * PyTorch's default for weights and biases: uniform within `1 / sqrt(fanIn)`, where `fanIn` counts
 * the inputs of an output.
 */
export function uniformFor(fanIn: number): Initializer {
  const bound = 1 / Math.sqrt(fanIn);
  return tf.initializers.randomUniform({ minval: -bound, maxval: bound });
}

/** The shape of the first or only input. */
export function firstShape(inputShape: tf.Shape | tf.Shape[]): tf.Shape {
  return (Array.isArray(inputShape[0]) ? inputShape[0] : inputShape) as tf.Shape;
}

/**
 * The number of frames per video of a call.
 * @throws Error if it does not divide the batch of frames.
 */
export function framesOf({ numFrames }: CallArgs, frames: tf.Tensor): number {
  if (
    numFrames === undefined ||
    !Number.isInteger(numFrames) ||
    numFrames < 1 ||
    frames.shape[0] % numFrames !== 0
  ) {
    throw new Error(
      `\`numFrames\` has to be a whole number that divides the batch of ${frames.shape[0]} ` +
        `frames but is ${numFrames}.`,
    );
  }
  return numFrames;
}
