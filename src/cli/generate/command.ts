/** `svd generate`: reads its arguments, and reports what the run gives. */
import { formatHelp } from '../terminal/help.ts';
import { runSession } from '../terminal/session.ts';
import { generateHelp, readGenerateCommand } from './options.ts';
import { formatProfile } from './profile.ts';

/** Runs `svd generate` and gives its exit code; errors are thrown. */
export async function run(args: string[]): Promise<number> {
  if (args.includes('--help') || args.includes('-h')) {
    console.log(formatHelp(generateHelp));
    return 0;
  }
  const command = readGenerateCommand(args);
  const report = await runSession(command, async (watch) =>
    (await import('./generateVideo.ts')).generateVideo(command, watch),
  );
  if (report.profile && !command.quiet)
    process.stderr.write(`${formatProfile(report.profile, report.backend.name)}\n`);
  console.log(command.json ? JSON.stringify(report) : report.output.join('\n'));
  return 0;
}
