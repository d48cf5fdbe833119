/** A layer that is made of checked arguments, under a name that saved models know. */
import type * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import { checkArguments, checkValues, given, savedArguments } from './checkArguments.ts';
import type { Checks } from './checks.ts';
import type { LayerArgs } from './layerArgs.ts';
import { type LayerClass, savedName } from './registry.ts';

/** The base class of `Block`. */
export abstract class ConfiguredLayer<Args extends LayerArgs> extends tfl.layers.Layer {
  /** What each argument has to be, with its default filled in. */
  static checks: Checks = {};
  /**
   * Whether arguments are passed over whose names are nothing like its own, as published
   * configurations have them. Default false: they are refused.
   */
  static ignoresOthers = false;
  /** The constructor arguments that are given, JSON-able. */
  readonly args: Args;

  constructor(args: Args) {
    super(args ?? {}); // `checkArguments` refuses null
    checkArguments(this.class, args);
    const { computeDtype, sublayers, weights, ...own } = given<LayerArgs>(args);
    this.args = own as Args;
    checkValues(this, args ?? {});
  }

  /**
   * Makes a layer of what `getConfig` returns, also after it has been saved. Names that it does not
   * know are ignored.
   */
  static override fromConfig<T extends tf.serialization.Serializable>(
    cls: tf.serialization.SerializableConstructor<T>,
    config: tf.serialization.ConfigDict,
  ): T {
    return new cls(savedArguments(cls, config));
  }

  /** Its class. */
  protected get class(): LayerClass {
    return this.constructor as unknown as LayerClass;
  }

  /** The name of its class in saved models, such as `stable-video-diffusion-tfjs>Linear`. */
  override getClassName(): string {
    // TensorFlow.js makes the default name of a layer of it, before there are arguments.
    if (this.args) return savedName(this.class);
    if (this.class.className) return this.class.className;
    throw new Error('A class of layers has to have a name: `static className`.');
  }

  /** The constructor arguments with defaults filled in. */
  get config(): Args {
    return this.args;
  }

  /** Sentences on arguments that are right by themselves and do not fit each other. */
  misfits(): (string | undefined)[] {
    return [];
  }
}
