/** The interface of checkpoints of every format: configs, and weights that are read on demand. */
import type { ConfigFile } from './configs/json.ts';
import type { Component, WeightedComponent } from './diffusers/names.ts';
import type { WeightSource } from './weights/source.ts';

/** The formats that checkpoints come in and can be converted to. */
export const formats = ['diffusers', 'original', 'tfjs'] as const;

/**
 * `diffusers`: a folder of safetensors. `original`: one safetensors file with the names of
 * Stability AI's code. `tfjs`: a folder of TensorFlow.js artifacts.
 */
export type Format = (typeof formats)[number];

/** A UNet that is used instead of a model's own. */
export interface OtherUnet {
  /** The path or address of its weight file, or of the index of several. */
  readonly path: string;
  /** Whether it is in safetensors files with the names that diffusers has for its weights. */
  readonly isOfDiffusers: boolean;
  /** Its own config. Without it, that of the UNet that it replaces counts. */
  readonly config?: ConfigFile;
  /**
   * Opens its weights, under their names in diffusers.
   * @throws CheckpointError that lists all differences if they do not fit the config.
   */
  weights(config: ConfigFile): Promise<WeightSource>;
  /** The paths of all files that it is read from. */
  files(): Promise<string[]>;
}

/**
 * An open checkpoint: its configs, and its weights when they are asked for. `await using` closes
 * it.
 */
export interface Checkpoint extends AsyncDisposable {
  /** The folder, file or address, as it was given. */
  readonly path: string;
  /** How it is stored. */
  readonly format: Format;
  /** `model_index.json`. */
  readonly index: Record<string, unknown>;
  /** The UNet that is used instead of its own, if that is replaced. */
  readonly unet?: OtherUnet;
  /** One sentence that says what was assumed because it was not given. */
  readonly assumption?: string;
  /** A component's JSON config as it is, with snake_case keys. */
  config(component: Component): Record<string, unknown>;
  /**
   * Opens a component's weights. Closing the checkpoint closes them, too.
   * @throws CheckpointError if there are none of the variant, or they are broken.
   */
  weights(component: WeightedComponent): Promise<WeightSource>;
  /**
   * The paths of all files that the model is read from: configs, weights and what lists them;
   * within the folder, if it is one. Those of `unet` are not among them.
   * @throws CheckpointError if there are no weights of the variant.
   */
  files(): Promise<string[]>;
  /** Brings the weights to where they are read from, if they are not there yet. */
  fetch?(): Promise<void>;
  /** Opens the same once more. */
  reopen(): Promise<Checkpoint>;
  /** Closes all weights opened so far. */
  close(): Promise<void>;
}
