/** The base class of every layer. */
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import { type ComputeDtype, computeDtypes, computeIn } from '../ops/index.ts';
import { checkValue } from '../text/kinds.ts';
import { checkCallArgs, given } from './checkArguments.ts';
import { checkCall } from './checkCall.ts';
import { ConfiguredLayer } from './configuredLayer.ts';
import { asFloats, checkInputs, checkTensors, firstShape, type Inputs } from './inputs.ts';
import type {
  CallArgs,
  FramesArgs,
  LayerArgs,
  SaveLayerOptions,
  SublayerState,
} from './layerArgs.ts';
import type { Layout, Parameter } from './parameter.ts';
import { markPlace, takeCallArgs } from './placement.ts';
import { checkSavable, setState, statesInside } from './sublayers.ts';
import { inFrames } from './videos.ts';
import {
  holdInFloat32,
  type Initializer,
  isMeta,
  metaTensor,
  onMeta,
  releaseValues,
} from './weights.ts';

export { type Axes, firstShape, framesOf, type Inputs } from './inputs.ts';
export type * from './layerArgs.ts';
export {
  uniformFor,
  weightForProducts,
  weightOf,
  weightSlice,
  withoutWeights,
} from './weights.ts';

type AnyTensors = tf.Tensor | tf.Tensor[] | tfl.SymbolicTensor | tfl.SymbolicTensor[];
type ShapeOf<Output> = Output extends tf.Tensor[] ? tfl.Shape[] : tfl.Shape;
type Symbolic<Output> = Output extends tf.Tensor[] ? tfl.SymbolicTensor[] : tfl.SymbolicTensor;

/**
 * A layer made of named child layers. Its weights are its own parameters followed by its
 * children's, in order of declaration. Constructor arguments fix every shape, as in PyTorch; inputs
 * only have to agree with them.
 */
export abstract class Block<
  Args extends LayerArgs = LayerArgs,
  Output extends tf.Tensor | tf.Tensor[] = tf.Tensor,
> extends ConfiguredLayer<Args> {
  // Base-class getters run before these exist: read them with `?? []`.
  private ownParameters?: Omit<Parameter, 'computeDtype'>[];
  private childBlocks?: AnyBlock[];
  private scope = '';
  private applied?: CallArgs;
  private chosenComputeDtype: ComputeDtype = 'float32';
  private readonly states: readonly SublayerState[];
  /** Whether it was made trainable and with no type of its own to compute in. */
  readonly inherits: boolean;

  constructor(args: Args) {
    super(args);
    const { computeDtype, sublayers = [] } = args ?? {};
    this.states = sublayers;
    this.inherits = this.trainable && computeDtype === undefined;
    if (computeDtype !== undefined) this.chosenComputeDtype = checkedDtype(computeDtype);
  }

  /**
   * Adopts `block` under its name, which is the attribute path that diffusers uses (`resnets.0`,
   * `conv1`, ...).
   */
  protected child<T extends AnyBlock>(block: T): T {
    this.childBlocks ??= [];
    this.childBlocks.push(block);
    if (!this.trainable) block.trainable = false;
    if (block.inherits && this.computeDtype !== 'float32') block.computeDtype = this.computeDtype;
    setState(block, this.states);
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
  ): tfl.LayerVariable {
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
    if (!this.trainable) variable.trainable = false;
    this.ownParameters ??= [];
    this.ownParameters.push({ key, variable, layout });
    return variable;
  }

  /** Declares this block's own weights; children build themselves. */
  protected buildSelf(): void {}

  override build(_inputShape?: tfl.Shape | tfl.Shape[]): void {
    if (this.built) return;
    // `apply` puts the layer's name in front of its weights' names. A direct `build` has to do it,
    // as other layers of a model have weights of the same names.
    if (!this.applied && this.scope === '') this.scope = `${this.name}/`;
    this.buildSelf();
    for (const child of this.children) {
      child.scope = `${this.scope}${child.name}/`;
      child.build();
    }
    this.built = true;
    if (this.initialWeights && !isMeta()) this.setWeights(this.initialWeights);
  }

  /** Every weight below this block, with the key it has in a checkpoint relative to this block. */
  parameters(): Parameter[] {
    const { computeDtype } = this;
    const own = (this.ownParameters ?? []).map((parameter) => ({ ...parameter, computeDtype }));
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
    return `${this.class.className} "${this.name}"`;
  }

  protected override assertInputCompatibility(inputs: AnyTensors): void {
    super.assertInputCompatibility(inputs);
    checkCall(this.label, this, [inputs].flat(), this.applying);
  }

  /**
   * Checks the inputs of a computation that does not go through `apply`. Frames have no axis there.
   * @throws Error if one is no tensor or does not fit `inputAxes`.
   */
  checkTensors(inputs: tf.Tensor[]): void {
    checkTensors(this.label, inputs);
    const shapes = inputs.map(({ shape }) => shape);
    if (this.inputAxes) checkInputs(this.label, this.inputAxes, shapes);
  }

  /**
   * Calls the layer. It returns tensors for tensors, and symbolic tensors, for `tf.model`, for
   * symbolic ones.
   * @throws Error if the inputs are no tensors or do not fit `inputAxes`, or the layer takes no
   * call argument of a name.
   */
  override apply(inputs: tf.Tensor | tf.Tensor[], kwargs?: CallArgs): Output;
  override apply(
    inputs: tfl.SymbolicTensor | tfl.SymbolicTensor[],
    kwargs?: CallArgs,
  ): Symbolic<Output>;
  override apply(inputs: AnyTensors, kwargs?: CallArgs): AnyTensors;
  override apply(inputs: AnyTensors, kwargs?: CallArgs): AnyTensors {
    checkCallArgs(this.class, this.callArgNames, kwargs);
    checkTensors(this.label, [inputs].flat());
    const symbolic = [inputs].flat()[0] instanceof tfl.SymbolicTensor;
    const ofPlace = symbolic ? undefined : takeCallArgs(this, 'apply');
    this.applied = { ...ofPlace, ...given(kwargs) };
    try {
      const output = super.apply(inputs, this.applied);
      if (symbolic) markPlace(this);
      return output;
    } finally {
      this.applied = undefined;
    }
  }

  /** The names of the call arguments that the layer takes. Default: only `numFrames`. */
  get callArgNames(): readonly string[] {
    return ['numFrames'];
  }

  /**
   * The call arguments while `apply` runs, or of the place in a model whose shape is computed.
   * TensorFlow.js does not pass them to `build` and `computeOutputShape`.
   */
  protected get applying(): CallArgs | undefined {
    return this.applied ?? takeCallArgs(this, 'computeOutputShape');
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
    const { numFrames } = this.args as FramesArgs;
    const forward = (frames: tf.Tensor[], ofVideos: CallArgs) =>
      this.forward(frames, { numFrames, ...given(kwargs), ...ofVideos });
    const run = () => inFrames(this.inputAxes, asFloats([inputs].flat()), forward);
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
    this.chosenComputeDtype = checkedDtype(dtype);
    for (const child of this.children) child.computeDtype = dtype;
  }

  /** The shape of the output: that of the first input, if a layer does not say otherwise. */
  override computeOutputShape(inputShape: tfl.Shape | tfl.Shape[]): ShapeOf<Output> {
    return firstShape(inputShape) as ShapeOf<Output>;
  }

  /**
   * All that makes an equal layer, but for its weights: `fromConfig` and the constructor take it.
   * @throws Error if it has LoRA.
   */
  override getConfig(): tf.serialization.ConfigDict {
    checkSavable(this);
    const { computeDtype } = this;
    const sublayers = statesInside(this);
    // The base class after the arguments: `trainable` may have changed since construction.
    const config = {
      ...this.args,
      ...super.getConfig(),
      ...(computeDtype !== 'float32' && { computeDtype }),
      ...(sublayers.length > 0 && { sublayers }),
    };
    return config as unknown as tf.serialization.ConfigDict;
  }

  /** Writes a layer to a file. There is one where there are files, which is in Node. */
  static writer?: (layer: AnyBlock, path: string, options: SaveLayerOptions) => Promise<void>;

  /**
   * Writes its weights to a safetensors file, from which `loadLayerWeights` reads them. Only in
   * Node.
   * @throws CheckpointError if the layer is not built yet, or the file cannot be written.
   * @throws Error in browsers, or if an option has another name or cannot have its value.
   */
  async save(path: string, options: SaveLayerOptions = {}): Promise<void> {
    if (Block.writer) return Block.writer(this, path, options);
    throw new Error(
      '`layer.save` writes files, which is only possible in Node. In browsers, ' +
        '`blockTensors(layer)` returns the weights.',
    );
  }

  /** Frees every weight, also of a layer that was built and never applied. */
  override dispose(): ReturnType<tfl.layers.Layer['dispose']> {
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
  override get trainableWeights(): tfl.LayerVariable[] {
    return [...super.trainableWeights, ...this.children.flatMap((child) => child.trainableWeights)];
  }
  override set trainableWeights(weights: tfl.LayerVariable[]) {
    super.trainableWeights = weights;
  }

  /** All other weights, of this layer and those below. */
  override get nonTrainableWeights(): tfl.LayerVariable[] {
    return [
      ...super.nonTrainableWeights,
      ...this.children.flatMap((child) => child.nonTrainableWeights),
    ];
  }
  override set nonTrainableWeights(weights: tfl.LayerVariable[]) {
    super.nonTrainableWeights = weights;
  }
}

function checkedDtype(dtype: ComputeDtype): ComputeDtype {
  checkValue('computeDtype', dtype, { oneOf: computeDtypes });
  return dtype;
}

/** A block of any arguments and any number of outputs. */
export type AnyBlock = Block<LayerArgs, tf.Tensor | tf.Tensor[]>;
