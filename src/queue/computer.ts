/** The process that computes for a worker, from the worker's side. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import type { FromProcess, Outcome, Task, TaskProgress, ToProcess } from './task.ts';

/** Called with what the process tells of a task. */
export interface TaskListeners {
  onProgress?(progress: TaskProgress): void;
  /** It has stored where the task stands in a file. */
  onState?(path: string): void;
  onNote?(text: string): void;
}

/**
 * Computes in a process of its own, which keeps what it has loaded from task to task. Computing
 * blocks the event loop of that process, so the worker's stays free for its lock.
 */
export class Computer {
  private readonly script: string;
  private readonly setup: object;
  private process?: ChildProcess;
  private backend = '';

  /**
   * @param script The path of the program. It ends when its parent has ended.
   * @param setup The first that it is told: how to compute.
   */
  constructor(script: string, setup: object) {
    this.script = script;
    this.setup = setup;
  }

  /**
   * Starts the process unless it runs.
   * @returns The backend that computes.
   * @throws Error with the reason if it cannot compute.
   */
  async start(): Promise<string> {
    if (this.process) return this.backend;
    const child = fork(this.script, { serialization: 'advanced' });
    child.once('exit', () => {
      if (this.process === child) this.process = undefined;
    });
    this.process = child;
    this.tell({ setup: this.setup });
    const ready = await this.hear(child, (message) =>
      'ready' in message ? message.ready : undefined,
    );
    if (ready === undefined) throw new Error(`the process that computes ended ${endOf(child)}.`);
    if ('problem' in ready) throw new Error(ready.problem);
    this.backend = ready.backend;
    return this.backend;
  }

  /** Does a task. It does not reject: what goes wrong is the outcome. */
  async perform(task: Task, listeners: TaskListeners = {}): Promise<Outcome> {
    try {
      await this.start();
    } catch (error) {
      return { kind: 'failed', reason: (error as Error).message, mayPass: true };
    }
    const child = this.process!;
    this.tell({ task });
    const outcome = await this.hear(child, (message) => {
      if ('progress' in message) listeners.onProgress?.(message.progress);
      else if ('state' in message) listeners.onState?.(message.state);
      else if ('note' in message) listeners.onNote?.(message.note);
      else if ('outcome' in message) return message.outcome;
      return undefined;
    });
    if (outcome === undefined) {
      const reason = `the process that computes ended ${endOf(child)}.`;
      return { kind: 'failed', reason, mayPass: true };
    }
    // What is wrong with a device or with memory stays wrong in the same process.
    if (outcome.kind === 'failed' && outcome.mayPass) await this.end();
    return outcome;
  }

  /** Lets the task end after its step, with its state stored. */
  stop(): void {
    if (this.process?.connected) this.tell('stop');
  }

  /** Ends the process at once. */
  async end(): Promise<void> {
    const child = this.process;
    if (child === undefined) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }

  private tell(message: ToProcess): void {
    this.process?.send(message, () => {}); // if it has ended, its exit is what counts
  }

  /** The first value that `read` returns for a message; undefined if the process ends before. */
  private hear<T>(
    child: ChildProcess,
    read: (message: FromProcess) => T | undefined,
  ): Promise<T | undefined> {
    return new Promise((resolve) => {
      const settle = (value?: T) => {
        child.off('message', onMessage);
        child.off('exit', onExit);
        resolve(value);
      };
      const onMessage = (message: unknown) => {
        const value = read(message as FromProcess);
        if (value !== undefined) settle(value);
      };
      const onExit = () => settle();
      child.on('message', onMessage);
      child.once('exit', onExit);
      child.once('error', onExit);
    });
  }
}

const endOf = ({ signalCode, exitCode }: ChildProcess) =>
  signalCode ? `by ${signalCode}` : `with exit code ${exitCode}`;
