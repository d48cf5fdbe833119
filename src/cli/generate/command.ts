/** `svd generate`: makes a video from a picture. */
import { isStandardOutput } from '../../files/writing/target.ts';
import { printable } from '../../text/printable.ts';
import { subcommand } from '../terminal/command.ts';
import type { Values } from '../terminal/options.ts';
import { print } from '../terminal/print.ts';
import { runSession } from '../terminal/session.ts';
import { generateCommand } from './checkCommand.ts';
import { outputPaths, withDefaultOutput } from './defaultOutput.ts';
import { type GenerateCommand, generateOptions, otherNames } from './options.ts';
import { fastValues } from './speed/fast.ts';
import { formatProfile } from './watch/profile.ts';
import { summaryOf } from './watch/summary.ts';

/**
 * The values of a call, with what `--like` and `--fast` stand for.
 * @param given Whether an option was passed.
 * @throws UsageError if these cannot be followed.
 */
export async function chosenValues(
  passed: Values<typeof generateOptions>,
  pictures: string[],
  given: (name: string) => boolean,
) {
  const like =
    passed.like === undefined
      ? undefined
      : await (await import('./like.ts')).likeOutput(passed.like, passed, pictures, given);
  const { values, images } = like ?? { values: passed, images: pictures };
  return { values: values.fast ? fastValues(values, given) : values, images, like };
}

export const generate = subcommand({
  name: 'generate',
  usage: ['IMAGE... [--model DIR] [--output FILE] [options]'],
  about: [
    'Makes a video from a picture.',
    'IMAGE is the path or URL of a picture (PNG, JPEG, WebP, ...), - for one from standard ' +
      'input, or a .safetensors file with a tensor image [N,3,H,W] in [0,1]. Several are ' +
      'animated as one batch.',
  ],
  examples: [
    'svd generate rocket.jpg',
    'svd generate rocket.jpg --output rocket.mp4 \\\n  --model stabilityai/stable-video-diffusion-img2vid-xt --variant fp16',
    'svd generate rocket.jpg --like rocket.mp4 --output another.mp4 --seed 7',
    'curl -s https://example.org/rocket.jpg | svd generate - --output - | mpv -',
    'svd generate rocket.jpg --model svd-xt --output rocket.mp4 --seed 42 \\\n  --height 320 ' +
      '--width 576 --num-frames 14 --decode-chunk-size 4',
    'svd generate a.png b.png --model svd-xt --output clips.gif --seed 1 --seed 2',
    'svd generate rocket.jpg --model svd-xt --output rocket.safetensors \\\n  --dump ' +
      'stages.safetensors --backend tensorflow --json',
  ],
  options: generateOptions,
  otherNames,
  operands: {
    takes: 'one IMAGE or several',
    files: ['.png', '.jpg', '.jpeg', '.webp', '.gif', '.tiff', '.avif', '.svg', '.safetensors'],
  },
  async run(passed, pictures, given) {
    const { values, images, like } = await chosenValues(passed, pictures, given);
    const command = generateCommand(values, images);
    // Then nothing else goes to standard output.
    const isPiped = [command.output, command.dump ?? []].flat().some(isStandardOutput);
    if (isPiped) console.log = console.error;
    const run = (made: GenerateCommand, passedOver: string[]) =>
      runSession(made, async (session) => {
        if (like) session.note(`as ${passed.like}: ${like.taken}`);
        if (passed.output === undefined) {
          const videos = made.images.length * made.numVideosPerPrompt;
          session.note(`the output is ${outputPaths(made, videos).join(', ')}`);
          const { unfinishedNotes } = await import('./resume/keptState.ts');
          for (const text of unfinishedNotes(passedOver)) session.note(text);
        }
        const report = await (await import('./generateVideo.ts')).generateVideo(made, session);
        const { checkpoint } = report.settings;
        if (like?.hash !== undefined && checkpoint && like.hash !== checkpoint.hash)
          session.note(`the checkpoint is not that of ${passed.like}: its files are others`);
        session.note(summaryOf(report), 'done');
        return report;
      });
    const report =
      passed.output === undefined
        ? await withDefaultOutput(command, (output, others) => run({ ...command, output }, others))
        : await run(command, []);
    if (report.profile && !command.quiet)
      process.stderr.write(`${formatProfile(report.profile, report.backend.name)}\n`);
    const output = report.output.map(printable).join('\n');
    print(command.json ? JSON.stringify(report) : output);
    return 0;
  },
});
