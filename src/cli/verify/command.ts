/** `svd verify`: replays what diffusers computed, and compares every stage. */

import { printable } from '../../text/printable.ts';
import type { StageResult } from '../../verification/stageResult.ts';
import { subcommand } from '../terminal/command.ts';
import { alignColumns } from '../terminal/help.ts';
import { print } from '../terminal/print.ts';
import { runSession } from '../terminal/session.ts';
import { version } from '../version.ts';
import type { BackendResult } from './backends.ts';
import { verifyOptions } from './options.ts';

export const verify = subcommand({
  name: 'verify',
  usage: ['--model DIR|ORG/NAME --reference FILE [options]'],
  about: [
    'Replays the call of a reference with the same pictures and random draws, and compares ' +
      "every stage with diffusers': largest difference, relative L2 distance, cosine, and for " +
      'frames the share of equal 8-bit values.',
    'Where a stage of the encoder differs and the reference has it in float64, that decides.',
    'dump_reference.py, which writes the reference in Python with diffusers, is in ' +
      'node_modules/stable-video-diffusion-tfjs/dist/src/verification.',
    'Exit code 0: all within tolerance. 1: a stage is not, or the comparison failed.',
  ],
  examples: [
    'python dump_reference.py rocket.jpg --model svd-xt --height 320 --width 576 \\\n' +
      '  --num-frames 14 --decode-chunk-size 4 --output reference.safetensors',
    'svd verify --model svd-xt --reference reference.safetensors --backend all',
  ],
  options: verifyOptions,
  async run(command) {
    const verification = await runSession(command, async (session) =>
      (await import('./backends.ts')).verifyBackends(command, session),
    );
    const { results } = verification;
    const within = results.every((result) => result.within);
    const { model, reference, stageInputs, json } = command;
    const report = { model, reference, stageInputs, within, version, ...verification };
    print(json ? JSON.stringify(report) : results.map(table).join('\n\n'));
    return within ? 0 : 1;
  },
});

/** Says who is off where this package and diffusers differ. */
const ofFloat64 = ({ own, diffusers }: NonNullable<StageResult['float64']>) =>
  ` of float64: ${own.toExponential(1)}, diffusers ${diffusers.toExponential(1)}`;

/** The results on one backend as a table whose first broken line is marked. */
function table({ backend, device, version, problem, stages = [] }: BackendResult): string {
  if (problem !== undefined) return `${backend}: ${printable(problem)}`;
  const broken = stages.filter(({ within }) => !within);
  const rows = stages.map((result) => {
    const { stage, tolerance, within, comparison, problem, float64 } = result;
    const verdict = `${within ? 'within' : 'ABOVE'} ${tolerance.toExponential()}`;
    const mark = result === broken[0] ? '  <- the first' : '';
    if (!comparison) return [stage, '', '', '', '', '', `${problem}${mark}`];
    const { shape, maxAbs, relativeL2, cosine, equalBytes, largestByteDifference } = comparison;
    const bytes = `${(100 * equalBytes).toFixed(3)} % (${largestByteDifference})`;
    return [
      ...[stage, `[${shape}]`, maxAbs.toExponential(1), relativeL2.toExponential(1)],
      ...[cosine.toFixed(9), stage === 'frames' ? bytes : ''],
      `${verdict}${float64 ? ofFloat64(float64) : ''}${mark}`,
    ];
  });
  const header = ['stage', 'shape', 'max abs', 'relative L2', 'cosine', '8-bit equal', 'verdict'];
  const summary =
    broken.length === 0
      ? 'All within tolerance.'
      : `${broken.length} of ${stages.length} above tolerance, first ${broken[0].stage}.`;
  return [
    `${backend} ${version ?? ''} on ${device ?? 'this machine'}`,
    ...alignColumns([header, ...rows]),
    summary,
  ].join('\n');
}
