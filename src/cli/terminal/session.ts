/** The progress line, the notes and the Ctrl-C of a long command. */
import { format } from 'node:util';
import { Interrupted } from './errors.ts';
import { printNote } from './print.ts';
import { ProgressLine } from './progress.ts';

/** How a long command talks to its user. */
export interface Session {
  /** Aborts at Ctrl-C. */
  signal: AbortSignal;
  progress: ProgressLine;
  /** Shows a sentence. */
  note: (text: string, kind?: 'note' | 'done') => void;
}

/** Does `work` with a line of progress on standard error unless `quiet`, and stops it at Ctrl-C. */
export async function runSession<T>(
  { json, quiet }: { json: boolean; quiet: boolean },
  work: (session: Session) => Promise<T>,
): Promise<T> {
  const silent = quiet || (json && !process.stderr.isTTY);
  const progress = new ProgressLine(silent ? undefined : process.stderr);
  const note: Session['note'] = (text, kind) => {
    if (silent) return;
    progress.clear();
    printNote(text, kind);
  };
  // The library warns by console.warn, which knows neither --quiet nor the progress line.
  const { warn } = console;
  console.warn = (...parts: unknown[]) => note(format(...parts));

  // Only the first signal is taken: a second one ends the process at once, even in the middle of a
  // computation.
  const controller = new AbortController();
  const stop = () => controller.abort(new Interrupted());
  const signals: NodeJS.Signals[] = ['SIGINT', 'SIGTERM'];
  for (const signal of signals) process.once(signal, stop);
  using _restored = atEnd(() => {
    progress.clear();
    console.warn = warn;
    for (const signal of signals) process.off(signal, stop);
  });
  return await work({ signal: controller.signal, progress, note });
}

/** Does `work` when the block ends that declares it with `using` or `await using`. */
export const atEnd = (work: () => unknown): Disposable & AsyncDisposable => ({
  [Symbol.dispose]: work,
  [Symbol.asyncDispose]: async () => {
    await work();
  },
});
