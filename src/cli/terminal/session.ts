/** The progress line, the notes and the Ctrl-C of a long command. */
import { format } from 'node:util';
import { Interrupted } from './errors.ts';
import { printNote } from './print.ts';
import { ProgressLine } from './progress.ts';

/** How a long command talks to its user. */
export interface Session {
  /** Aborts at Ctrl-C. */
  signal: AbortSignal;
  /** Of several runs, that of the one that is made now. */
  progress: ProgressLine;
  /** Shows a sentence; an error also where the others are not shown. */
  note: (text: string, kind?: 'note' | 'done' | 'error') => void;
}

const ignore = () => {};

/** Does `work` with a line of progress on standard error unless `quiet`, and stops it at Ctrl-C. */
export async function runSession<T>(
  { json, quiet }: { json: boolean; quiet: boolean },
  work: (session: Session) => Promise<T>,
): Promise<T> {
  const silent = quiet || (json && !process.stderr.isTTY);
  const note: Session['note'] = (text, kind) => {
    if (silent && kind !== 'error') return;
    session.progress.clear();
    printNote(text, kind);
  };
  const controller = new AbortController();
  const { signal } = controller;
  const progress = new ProgressLine(silent ? undefined : process.stderr);
  const session: Session = { signal, progress, note };
  // The library warns by console.warn, which knows neither --quiet nor the progress line.
  const { warn } = console;
  console.warn = (...parts: unknown[]) => note(format(...parts));

  // Only the first signal is taken: a second one ends the process at once, even in the middle of a
  // computation.
  const stop = () => controller.abort(new Interrupted());
  // Of a terminal that is gone, writing hears before SIGHUP does. It may not end the process.
  process.stderr.off('error', ignore).on('error', ignore);
  const signals: NodeJS.Signals[] = ['SIGINT', 'SIGTERM'];
  for (const signal of signals) process.once(signal, stop);
  process.on('SIGHUP', stop); // which comes more than once
  using _restored = atEnd(() => {
    session.progress.clear();
    console.warn = warn;
    for (const signal of [...signals, 'SIGHUP']) process.off(signal, stop);
  });
  return await work(session);
}

/** Does `work` when the block ends that declares it with `using` or `await using`. */
export const atEnd = (work: () => unknown): Disposable & AsyncDisposable => ({
  [Symbol.dispose]: work,
  [Symbol.asyncDispose]: async () => {
    await work();
  },
});
