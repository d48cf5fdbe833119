/** Where the jobs and the workers of a queue stand. */
import type { MadeFile } from './job.ts';
import type { Entry, JobQueue } from './jobQueue.ts';
import type { TaskProgress } from './task.ts';
import { runningWorkers, type WorkerEntry } from './workers.ts';

/** A job that is being computed. */
export interface ActiveJob {
  id: string;
  picture: string;
  output: string;
  progress?: TaskProgress & { worker: string };
}

/** A job that has failed, or that no worker takes. */
export interface Problem {
  id: string;
  picture: string;
  reason: string;
}

/** The state of a queue. */
export interface Overview {
  /** The number of jobs in each state. */
  counts: Record<string, number>;
  workers: WorkerEntry[];
  active: ActiveJob[];
  /** Jobs that every worker which runs has put back. */
  held: Problem[];
  failed: Problem[];
}

export async function overviewOf(queue: JobQueue): Promise<Overview> {
  const [counts, workers, active, delayed, failed] = await Promise.all([
    queue.counts(),
    runningWorkers(queue.redis),
    queue.jobs('active'),
    queue.jobs('delayed'),
    queue.jobs('failed'),
  ]);
  return {
    ...{ counts, workers },
    active: active.map(({ id, data, progress }) => ({
      ...{ id: id!, picture: data.picture.name, output: data.output },
      ...(typeof progress === 'object' && { progress: progress as ActiveJob['progress'] }),
    })),
    held: delayed.flatMap((entry) => {
      const reason = refusalOf(entry, workers);
      return reason === undefined ? [] : [problem(entry, reason)];
    }),
    failed: failed.map((entry) => problem(entry, entry.failedReason)),
  };
}

/** Why no worker takes a job; undefined if one may. */
function refusalOf({ data: { refused } }: Entry, workers: WorkerEntry[]): string | undefined {
  if (refused === undefined) return undefined;
  const others = workers.filter(({ name }) => refused[name] === undefined);
  if (others.length > 0) return undefined;
  const reasons = Object.entries(refused).map(([name, reason]) => `${name}: ${reason}`);
  return reasons.at(-1);
}

const problem = ({ id, data }: Entry, reason: string): Problem => ({
  ...{ id: id!, picture: data.picture?.name, reason },
});

/** The columns of the report. */
export const reportColumns = [
  ...(['picture', 'output', 'state', 'sha256', 'bytes', 'seed', 'settings', 'checkpoint'] as const),
  ...(['worker', 'backend', 'seconds', 'attempts', 'reason', 'id'] as const),
] as const;

export type ReportRow = Partial<Record<(typeof reportColumns)[number], string | number>>;

/** A row for each file of a job. */
export function rowsOf(entry: Entry, state: string): ReportRow[] {
  const { id, data, returnvalue: result, failedReason, attemptsMade } = entry;
  const { seeds, ...settings } = data.settings;
  const files: Partial<MadeFile>[] = result?.files ?? [{ path: data.output }];
  return files.map(({ path, sha256, bytes }) => ({
    ...{ picture: data.picture.name, output: path, state, sha256, bytes },
    ...{ seed: seeds.join(' '), settings: JSON.stringify(settings) },
    ...{ checkpoint: data.checkpoint.hash, worker: result?.worker, backend: result?.backend },
    ...{ seconds: result?.seconds, attempts: attemptsMade, id },
    reason: result ? undefined : failedReason,
  }));
}
