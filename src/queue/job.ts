/** What a job of the queue is. */
import { createHash } from 'node:crypto';

/** How pictures and outputs travel: in folders that all machines see, or in Redis. */
export const carriers = ['folder', 'redis'] as const;

/** One video to make. */
export interface Job {
  picture: {
    /** As it was named, which the output stores. */
    name: string;
    /** Its absolute path where it was added. */
    path: string;
    sha256: string;
  };
  /** The options of `svd generate` but `--lora`, by name. */
  settings: Record<string, unknown> & { seeds: (number | string)[] };
  checkpoint: {
    /** SHA-256 of the checkpoint. */
    hash: string;
    /** Where it was when the job was added; undefined if it is that of the package. */
    path?: string;
    /** Where the LoRA on it were, whose bytes are part of the hash. */
    loras?: { path: string; scale: number }[];
  };
  /** The absolute path of the output. */
  output: string;
  carrier: (typeof carriers)[number];
  /** Why workers have put it back, by their names. */
  refused?: Record<string, string>;
  /** How often that was. */
  offers?: number;
}

/** A file that a job has made. */
export interface MadeFile {
  path: string;
  sha256: string;
  bytes: number;
}

/** What a job has ended with. */
export interface JobResult {
  files: MadeFile[];
  /** The worker that made them. */
  worker: string;
  /** The backend that computed. */
  backend: string;
  seconds: number;
}

/**
 * SHA-256 of the picture's bytes, the settings, the seeds, the checkpoint, and its LoRA with their
 * scales: the same work added twice is one job.
 */
export function jobId({ picture, settings, checkpoint }: Job): string {
  const scales = checkpoint.loras?.map(({ scale }) => scale) ?? [];
  const parts = [picture.sha256, checkpoint.hash, sorted(settings), ...scales];
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}

/** The values that are set, in the order of their names. */
const sorted = (values: Record<string, unknown>) =>
  Object.entries(values)
    .filter(([, value]) => value !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1));

/**
 * The job that Redis holds.
 * @throws Error if another program has written something else there.
 */
export function checkedJob(data: unknown): Job {
  const { picture, settings, checkpoint, output, carrier } = Object(data) as Partial<Job>;
  const texts = [picture?.name, picture?.path, picture?.sha256, checkpoint?.hash, output];
  const isJob =
    texts.every((text) => typeof text === 'string') &&
    Array.isArray(settings?.seeds) &&
    carriers.some((name) => name === carrier);
  if (!isJob) throw new Error('the job is none of svd queue add.');
  return data as Job;
}
