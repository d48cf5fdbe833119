/**
 * The cases of the benchmark. Both processes receive the work of a case as JSON and can build every
 * kind of work.
 */
import type { MemorySettings } from '../src/memory/stages.ts';

/** The work of both processes. `prefix` names the layer of the UNet whose weights are used. */
export type Work =
  | (VideoWork & { kind: 'unet' })
  | (VideoWork & { kind: 'vae-decode' })
  | { kind: 'vae-encode'; checkpoint: string; height: number; width: number }
  | { kind: 'clip'; checkpoint: string; height: number; width: number }
  | { kind: 'load'; checkpoint: string; picture: string }
  | { kind: 'load-float32'; checkpoint: string }
  | {
      kind: 'pipeline';
      checkpoint: string;
      picture: string;
      frames: number;
      height: number;
      width: number;
      steps: number;
    }
  | LayerWork<'attention'>
  | LayerWork<'temporal-attention'>
  | LayerWork<'resblock'>
  | LayerWork<'feed-forward'>;

type LayerWork<Kind> = Level & { kind: Kind; checkpoint: string; prefix: string };

/** A video, and the type that products and convolutions compute in. Default float32. */
interface VideoWork {
  checkpoint: string;
  frames: number;
  height: number;
  width: number;
  dtype?: 'float16' | 'bfloat16';
  /** Whether the UNet computes both halves of guidance. Default true. */
  guided?: boolean;
  /** How this package runs, by its plan. Default: everything at once. */
  settings?: MemorySettings;
  /** Where diffusers computes. Default cpu. */
  device?: 'cuda';
}

/** The sizes of one level of the UNet. */
interface Level {
  frames: number;
  channels: number;
  heads: number;
  /** Side of the latents. */
  side: number;
}

/** A case of the table. */
export interface Case {
  what: string;
  work: Work;
  /** Rounds without `--rounds`. Default 5. */
  rounds?: number;
  /**
   * Runs each round in a process of its own, which is timed from its `start`, or only during its
   * `round`. Default: one process runs all rounds.
   */
  fresh?: 'start' | 'round';
  /** The backend of this package. Default tensorflow. */
  backend?: string;
  /** The relative L2 that the two results may have, also where both round. Default 1e-3. */
  tolerance?: number;
  /** The other process: `diffusers`, or this package on the backend of this name. */
  peer?: string;
}

const full = 'bench/checkpoints/full';
const small = 'bench/checkpoints/small';
const picture = 'examples/pictures/rocket.jpg';

/** The three levels of the full-size UNet that have attention, at 256x256 pixels. */
const levels: Level[] = [
  { frames: 14, channels: 320, heads: 5, side: 32 },
  { frames: 14, channels: 640, heads: 10, side: 16 },
  { frames: 14, channels: 1280, heads: 20, side: 8 },
];

/** The prefix of each kind of layer at level `i`. */
const prefixes = {
  attention: (i: number) => `down_blocks.${i}.attentions.0.transformer_blocks.0.attn1.`,
  'temporal-attention': (i: number) =>
    `down_blocks.${i}.attentions.0.temporal_transformer_blocks.0.attn1.`,
  resblock: (i: number) => `down_blocks.${i}.resnets.1.`,
  'feed-forward': (i: number) => `down_blocks.${i}.attentions.0.transformer_blocks.0.ff.`,
};

const names = {
  attention: 'spatial self-attention',
  'temporal-attention': 'temporal self-attention',
  resblock: 'SpatioTemporalResBlock',
  'feed-forward': 'feed-forward (GEGLU)',
};

const layers = Object.fromEntries(
  (Object.keys(prefixes) as (keyof typeof prefixes)[]).flatMap((kind) =>
    levels.map((level, i): [string, Case] => [
      `${kind}-${level.channels}`,
      {
        what:
          `${names[kind]} at full size, ${level.channels} channels, 14 frames of ` +
          `${level.side}x${level.side}`,
        work: { kind, checkpoint: full, prefix: prefixes[kind](i), ...level } as Work,
      },
    ]),
  ),
);

/** Every case by name, in the order in which they run. */
export const cases: Record<string, Case> = {
  'unet-256': {
    what: 'one guided UNet evaluation (both halves) at full size, 14 frames of 256x256',
    work: { kind: 'unet', checkpoint: full, frames: 14, height: 256, width: 256 },
  },
  'unet-256-bf16': {
    what: 'the same in bfloat16, of both',
    work: {
      ...{ kind: 'unet', checkpoint: full, dtype: 'bfloat16' },
      ...{ frames: 14, height: 256, width: 256 },
    },
    tolerance: 0.05,
  },
  'unet-320x576': {
    what: 'one guided UNet evaluation at full size, 14 frames of 320x576',
    work: { kind: 'unet', checkpoint: full, frames: 14, height: 320, width: 576 },
    rounds: 3,
  },
  'vae-decode': {
    what: 'VAE decode at full size, 8 frames of 256x256',
    work: { kind: 'vae-decode', checkpoint: full, frames: 8, height: 256, width: 256 },
  },
  'vae-decode-bf16': {
    what: 'the same in bfloat16, of both',
    work: {
      ...{ kind: 'vae-decode', checkpoint: full, dtype: 'bfloat16' },
      ...{ frames: 8, height: 256, width: 256 },
    },
    tolerance: 0.05,
  },
  'vae-encode': {
    what: 'VAE encode at full size, one picture of 256x256',
    work: { kind: 'vae-encode', checkpoint: full, height: 256, width: 256 },
  },
  clip: {
    what: 'CLIP image encoder at full size, one picture',
    work: { kind: 'clip', checkpoint: full, height: 224, width: 224 },
  },
  load: {
    what: 'a new process until it has loaded the checkpoint and embedded a picture with CLIP',
    work: { kind: 'load', checkpoint: full, picture },
    fresh: 'start',
  },
  'load-float32': {
    what: "the UNet's float16 weights as float32; against safetensors and torch's `.float()`",
    work: { kind: 'load-float32', checkpoint: full },
    fresh: 'round',
  },
  'pipeline-tiny': {
    what: 'a whole call after loading, tiny checkpoint, 8 frames of 64x96, 10 guided steps',
    work: {
      kind: 'pipeline',
      checkpoint: 'weights/tiny',
      picture,
      frames: 8,
      height: 64,
      width: 96,
      steps: 10,
    },
  },
  ...layers,
  'unet-small-wasm': {
    what:
      'one guided UNet evaluation of a small model on wasm, 8 frames of 128x128; against ' +
      'tensorflow',
    work: { kind: 'unet', checkpoint: small, frames: 8, height: 128, width: 128 },
    backend: 'wasm',
    peer: 'tensorflow',
  },
};
