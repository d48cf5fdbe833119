/** `svd verify`: replays what diffusers computed, and compares every stage. */

import { writeFile } from 'node:fs/promises';
import { writeAtomically } from '../../files/writing/atomic.ts';
import type { Comparison } from '../../verification/report/comparison.ts';
import { htmlReport } from '../../verification/report/html.ts';
import { markdownReport } from '../../verification/report/markdown.ts';
import { notInReferences } from '../generate/speed/options.ts';
import { subcommand } from '../terminal/command.ts';
import { UsageError } from '../terminal/errors.ts';
import { print } from '../terminal/print.ts';
import { runSession } from '../terminal/session.ts';
import { version } from '../version.ts';
import type { Verification } from './backends.ts';
import { type VerifyCommand, verifyOptions } from './options.ts';
import { textReport } from './text.ts';

export const verify = subcommand({
  name: 'verify',
  usage: ['--model DIR|ORG/NAME --reference FILE [options]'],
  about: [
    'Replays the call of a reference, which svd reference makes, with the same pictures and random ' +
      "draws, and compares every stage with diffusers': relative L2 distance, largest difference, " +
      'cosine, and for frames the share of equal 8-bit values.',
    'Where a stage of the encoder differs and the reference has it in float64, that decides.',
    'Exit code 0: all within tolerance. 1: a stage is not, or the comparison failed.',
  ],
  examples: [
    'svd reference rocket.jpg --model svd-xt --height 320 --width 576 \\\n' +
      '  --num-frames 14 --num-inference-steps 5 --output reference.safetensors',
    'svd verify --model svd-xt --reference reference.safetensors --backend all',
    'svd verify --model svd-xt --reference reference.safetensors \\\n' +
      '  --report report.html --markdown >> "$GITHUB_STEP_SUMMARY"',
  ],
  options: verifyOptions,
  otherNames: notInReferences,
  async run(command) {
    if (command.json && command.markdown)
      throw new UsageError('--json and --markdown are two ways to print. Pass one of them.');
    const { verification, comparison } = await runSession(command, async (session) => {
      const verification = await (await import('./backends.ts')).verifyBackends(command, session);
      const comparison = comparisonOf(command, verification);
      if (command.report !== undefined) await writePage(command.report, comparison);
      return { verification, comparison };
    });
    const { within } = comparison;
    if (command.json) print(JSON.stringify(jsonReport(command, verification, within)));
    else if (command.markdown)
      print(markdownReport(comparison, (result) => command.blocks || !result.within));
    else print(textReport(comparison, command.blocks));
    return within ? 0 : 1;
  },
});

const writePage = (path: string, comparison: Comparison) =>
  writeAtomically(path, (temporary) => writeFile(temporary, htmlReport(comparison)));

/** What `--json` prints. */
function jsonReport(command: VerifyCommand, verification: Verification, within: boolean): object {
  const { checkpoint, otherVersions, results } = verification;
  const { model, reference, stageInputs } = command;
  return {
    ...{ model, reference, stageInputs, within, version, checkpoint },
    ...{ referenceVersions: verification.reference.versions, otherVersions },
    results: results.map(({ sheet: _, ...result }) => result),
  };
}

function comparisonOf(
  { model, reference: path }: VerifyCommand,
  { reference, otherVersions, results }: Verification,
): Comparison {
  const backends = results.map(({ backend, version, device, problem, stages, sheet }) => ({
    title: problem === undefined ? `${backend} ${version} on ${device ?? 'this machine'}` : backend,
    problem,
    stages: stages ?? [],
    sheet,
  }));
  return {
    ...{ within: results.every(({ within }) => within), model, reference: path },
    ...{ call: reference.call, seeds: reference.seeds, blockStep: reference.blockStep },
    ...{ versions: reference.versions, otherVersions, backends },
  };
}
