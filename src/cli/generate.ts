/** `svd generate`: reads its arguments, listens for Ctrl-C, and reports what the run gives. */
import { format } from 'node:util';
import { Interrupted } from './errors.ts';
import { formatHelp } from './help.ts';
import { generateHelp, readGenerateCommand } from './options.ts';
import { formatProfile } from './profile.ts';
import { ProgressLine } from './progress.ts';

/** Runs `svd generate` and gives its exit code; errors are thrown. */
export async function run(args: string[]): Promise<number> {
  if (args.includes('--help') || args.includes('-h')) {
    console.log(formatHelp(generateHelp));
    return 0;
  }
  const command = readGenerateCommand(args);
  const terminal = process.stderr.isTTY;
  const progress = new ProgressLine(terminal && !command.quiet ? process.stderr : undefined);
  const silent = command.quiet || (command.json && !terminal);
  const note = (text: string) => {
    if (silent) return;
    progress.clear();
    process.stderr.write(`svd: ${text}\n`);
  };
  // The library warns by console.warn, which knows neither of --quiet nor of the progress line.
  const { warn } = console;
  console.warn = (...parts: unknown[]) => note(format(...parts));

  // Only the first signal is taken: a second one ends the process at once, even in the middle of a computation.
  const controller = new AbortController();
  const stop = () => controller.abort(new Interrupted());
  const signals: NodeJS.Signals[] = ['SIGINT', 'SIGTERM'];
  for (const signal of signals) process.once(signal, stop);
  try {
    const { generateVideo } = await import('./generateVideo.ts');
    const report = await generateVideo(command, { signal: controller.signal, progress, note });
    progress.clear();
    if (report.profile && !command.quiet) process.stderr.write(`${formatProfile(report.profile, report.backend.name)}\n`);
    console.log(command.json ? JSON.stringify(report) : report.output.join('\n'));
    return 0;
  } finally {
    progress.clear();
    console.warn = warn;
    for (const signal of signals) process.off(signal, stop);
  }
}
