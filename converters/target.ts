/** The interface of the formats to convert to. */
import type { Checkpoint } from '../src/checkpoints/checkpoint.ts';
import type { WeightedComponent } from '../src/checkpoints/diffusers/names.ts';
import type { CheckpointIdentity } from '../src/checkpoints/identity.ts';
import type { Dtype } from '../src/checkpoints/safetensors/dtypes.ts';
import type { OpenComponent } from '../src/checkpoints/weights/export.ts';
import type { BytePool } from '../src/checkpoints/weights/memory.ts';
import type { OutputFile } from '../src/files/writing/outputFile.ts';
import type { QuantizeTo } from './quantize.ts';

/** A format to convert to. */
export interface Target {
  /** The files of the output, in the order in which they are written. */
  files(components: OpenComponent[], options: TargetOptions): OutputFile[];
}

/** How a checkpoint is written. */
export interface TargetOptions {
  /** The checkpoint that is converted. */
  checkpoint: Checkpoint;
  /** Its identity, once its files are hashed. */
  identity: Promise<CheckpointIdentity>;
  /** The identity with zeros for hashes: it has the same length. */
  unhashed: CheckpointIdentity;
  /** The type to store weights in; not for `tfjs`. Default: the one that they have. */
  dtype?: Dtype;
  /** The type to store weights in for `tfjs`. */
  quantize: QuantizeTo;
  /** Maximum size of a weight file in bytes. */
  shardSize?: number;
  /** Memory for weights. */
  pool: BytePool;
  /** Called with the error of a quantised component. */
  onError(component: WeightedComponent, error: ComponentError): void;
}

/** How far a component's quantised weights are from the exact ones. */
export interface ComponentError {
  /** Relative L2 distance of all its weights together. */
  relative: number;
  /** The largest difference of a value. */
  largest: number;
  /** The weight that has it. */
  where: string;
}
