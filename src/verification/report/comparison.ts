/** What a report says of a comparison. */
import type { ReferenceCall } from '../reference.ts';
import type { StageResult } from '../stageResult.ts';

/** Frames of a video, side by side. */
export interface FramesSheet {
  /** Numbers of the frames, from 1. */
  frames: number[];
  /** A PNG file of each frame: of this package, of diffusers, and how much they differ. */
  rows: { label: string; pictures: Uint8Array[] }[];
}

/** The comparison on one backend. */
export interface BackendComparison {
  /** Its name, version and device. */
  title: string;
  /** Why there is nothing to show. */
  problem?: string;
  stages: StageResult[];
  sheet?: FramesSheet;
}

/** A comparison of a checkpoint with a reference, on one backend or several. */
export interface Comparison {
  within: boolean;
  model: string;
  reference: string;
  /** Versions of the Python libraries that made the reference. */
  versions: Record<string, string>;
  /** Those that are not what the tolerances are measured with, in words. */
  otherVersions?: string;
  call: ReferenceCall;
  seeds: readonly (number | bigint)[];
  /** The step that the blocks of the UNet are from. */
  blockStep: number | null;
  backends: BackendComparison[];
}

/** Names with versions in one line. */
export const versionsOf = ({ versions }: Comparison): string =>
  Object.entries(versions)
    .map(([name, version]) => `${name} ${version}`)
    .join(', ');

/** What to say of a reference that other versions have made. */
export const versionsNote = ({ otherVersions }: Pick<Comparison, 'otherVersions'>) =>
  otherVersions &&
  `The tolerances are measured with other versions than the reference's, which has ${otherVersions}.`;
