/** The cases of `--card`, the most important first. */
import type { Work } from '../cases.ts';

/** A comparison of the tests' reference tensors, by the tests themselves. */
export interface ParityCase {
  dtype: 'float32' | 'half';
  /** Test files, and on a processor which of their tests. */
  files: string[];
  onProcessor: string;
}

/** One part of a call at a size. */
export interface SizedCase {
  part: 'unet' | 'vae-decode';
  guided: boolean;
  height: number;
  width: number;
  frames: number;
}

/** Every comparison by name. */
export const parityCases: Record<string, ParityCase> = {
  'parity-float32': {
    dtype: 'float32',
    files: ['layers/layers', 'models/models', 'pipelines/parity'],
    onProcessor: 'UNetSpatioTemporalConditionModel',
  },
  'parity-half': {
    dtype: 'half',
    files: ['pipelines/halfPrecision'],
    onProcessor: 'conditioning in float16',
  },
};

const sizes = [
  { height: 256, width: 256, frames: 14 },
  { height: 576, width: 1024, frames: 14 },
  { height: 576, width: 1024, frames: 25 },
  { height: 256, width: 256, frames: 25 },
];

const parts = [
  { name: 'unet-guided', part: 'unet', guided: true },
  { name: 'decode', part: 'vae-decode', guided: false },
  { name: 'unet-unguided', part: 'unet', guided: false },
] as const;

/** Every part at every size by name. */
export const sizedCases: Record<string, SizedCase> = Object.fromEntries(
  sizes.flatMap((size) =>
    parts.map(({ name, ...part }) => [
      `${name}-${size.height}x${size.width}-${size.frames}`,
      { ...part, ...size },
    ]),
  ),
);

/** The names of all cases. */
export const cardCases = [...Object.keys(parityCases), ...Object.keys(sizedCases)];

/** The case made so small that a processor computes it in moments. */
export function onProcessor(sized: SizedCase): SizedCase {
  const isLarge = sized.height > 256;
  return {
    ...sized,
    ...{ height: 64, width: isLarge ? 96 : 64 },
    frames: sized.frames > 14 ? 3 : 2,
  };
}

/** The work of the processes of a case. */
export const workOf = (
  { part, ...video }: SizedCase,
  checkpoint: string,
  more: Pick<Extract<Work, { kind: 'unet' }>, 'dtype' | 'settings' | 'device'>,
): Work => ({ kind: part, checkpoint, ...video, ...more });
