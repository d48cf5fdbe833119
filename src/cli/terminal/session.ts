/** How a long command is watched: its progress line, its notes, and Ctrl-C. */
import { format } from 'node:util';
import { Interrupted } from './errors.ts';
import { ProgressLine } from './progress.ts';

/** What a run is watched by. */
export interface Session {
  signal: AbortSignal;
  progress: ProgressLine;
  /** Tells the user something. */
  note: (text: string) => void;
}

/** Does `work` with a line of progress on standard error unless `quiet`, and stops it at Ctrl-C. */
export async function runSession<T>(
  { json, quiet }: { json: boolean; quiet: boolean },
  work: (watch: Session) => Promise<T>,
): Promise<T> {
  const terminal = process.stderr.isTTY;
  const progress = new ProgressLine(terminal && !quiet ? process.stderr : undefined);
  const silent = quiet || (json && !terminal);
  const note = (text: string) => {
    if (silent) return;
    progress.clear();
    process.stderr.write(`svd: ${text}\n`);
  };
  // The library warns by console.warn, which knows neither of --quiet nor of the progress line.
  const { warn } = console;
  console.warn = (...parts: unknown[]) => note(format(...parts));

  // Only the first signal is taken: a second one ends the process at once, even in the middle of a
  // computation.
  const controller = new AbortController();
  const stop = () => controller.abort(new Interrupted());
  const signals: NodeJS.Signals[] = ['SIGINT', 'SIGTERM'];
  for (const signal of signals) process.once(signal, stop);
  try {
    return await work({ signal: controller.signal, progress, note });
  } finally {
    progress.clear();
    console.warn = warn;
    for (const signal of signals) process.off(signal, stop);
  }
}
