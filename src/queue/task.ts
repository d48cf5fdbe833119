/** What a worker and the process that computes for it tell each other. */
import type { Job } from './job.ts';

/** A job, with where its files are on this machine. */
export interface Task {
  job: Job;
  /** The path of the picture. */
  picture: string;
  /** The path of the output. */
  output: string;
}

/** Where a job stands. */
export interface TaskProgress {
  stage: string;
  step: number;
  steps: number;
}

/** What a task has ended with. */
export type Outcome =
  | { kind: 'done'; paths: string[]; backend: string }
  /** It was told to stop, and has stored its state. */
  | { kind: 'stopped' }
  /** This worker cannot do it. Another one perhaps can. */
  | { kind: 'refused'; reason: string }
  | { kind: 'failed'; reason: string; mayPass: boolean };

/** What the worker tells the process. `setup` is the first, and says how to compute. */
export type ToProcess = { setup: object } | { task: Task } | 'stop';

/** What the process tells the worker. */
export type FromProcess =
  /** It can take tasks. `backend` is what computes. */
  | { ready: { backend: string } | { problem: string } }
  | { progress: TaskProgress }
  /** It has stored where the task stands, in the file at this path. */
  | { state: string }
  | { note: string }
  | { outcome: Outcome };

/** Errors of the system that may pass: connections, full disks, too many files. */
const passing = new Set([
  ...['ENOSPC', 'EDQUOT', 'EIO', 'EMFILE', 'ENFILE', 'EBUSY', 'EAGAIN', 'ESTALE', 'ENOMEM'],
  ...['ECONNREFUSED', 'ECONNRESET', 'ETIMEDOUT', 'EPIPE', 'EHOSTUNREACH', 'ENETUNREACH'],
  ...['ENOTCONN', 'EAI_AGAIN', 'UND_ERR_SOCKET', 'UND_ERR_CONNECT_TIMEOUT'],
]);

/** Whether what went wrong may be right when it is tried again. */
export function mayPass(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) {
    const { code = '' } = at as NodeJS.ErrnoException;
    if (passing.has(code) || /device (was|is|has been) lost|^OOM command/i.test(at.message))
      return true;
  }
  return false;
}
