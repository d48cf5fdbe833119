/** Reports of results that are made up: order, the worst, what cannot be compared, hostile names. */
import { expect } from 'chai';
import { textReport } from '../../../src/cli/verify/text.ts';
import type { Comparison } from '../../../src/verification/report/comparison.ts';
import { htmlReport } from '../../../src/verification/report/html.ts';
import { markdownReport } from '../../../src/verification/report/markdown.ts';
import { plotOf } from '../../../src/verification/report/plot.ts';
import { conclusion, summarize } from '../../../src/verification/report/summary.ts';
import type { StageResult } from '../../../src/verification/stageResult.ts';

/** A result whose distance is `relativeL2`, of 1e-5 allowed. */
function result(stage: string, relativeL2 = 1e-6, more: Partial<StageResult> = {}): StageResult {
  const comparison = {
    ...{ shape: [2, 3], maxAbs: 2e-6, relativeL2, cosine: 1 },
    ...{ equalBytes: 0.99999999, largestByteDifference: 1 },
  };
  return { stage, tolerance: 1e-5, within: relativeL2 <= 1e-5, comparison, ...more };
}

const missing: Partial<StageResult> = {
  ...{ comparison: undefined, within: false, problem: 'never computed' },
};
/** As they are computed, with those that never are at the end. */
const stages = [
  ...[result('image_embeddings'), result('image_noise', 0), result('block.vae.encoder.conv_in')],
  ...[
    result('block.vae.encoder.conv_out', 3e-6),
    result('image_latents'),
    result('added_time_ids', 0),
  ],
  ...[result('initial_latents', 2e-9), result('latents_step_0'), result('block.unet.conv_in')],
  ...[result('latents_step_1', Number.NaN, { within: false }), result('latents_step_10', 3e-5)],
  ...[result('block.vae.decoder.conv_in'), result('frames', 2e-6)],
  result('block.unet.down_blocks.0', 0, missing),
];

const comparison = (shown: StageResult[], more: Partial<Comparison> = {}): Comparison => ({
  ...{ within: false, model: 'model', reference: 'reference', versions: { diffusers: '1' } },
  call: { numFrames: 2, width: 16, height: 8, numInferenceSteps: 11 } as Comparison['call'],
  ...{ seeds: [1], blockStep: 1, ...more },
  backends: [{ title: 'wasm 1 on a machine', stages: shown }],
});

describe('reports of a comparison', () => {
  it('have one row for each part, in the order of the call, with the worst of its blocks', () => {
    const rows = summarize(stages, 1);
    expect(rows.map(({ part, stage, block }) => [part, stage?.stage, block?.stage])).to.deep.equal([
      ['noise', 'initial_latents', undefined],
      ['embeddings', 'image_embeddings', undefined],
      ['encode', 'image_latents', 'block.vae.encoder.conv_out'],
      ['step 1', 'latents_step_0', undefined],
      ['step 2', 'latents_step_1', 'block.unet.down_blocks.0'],
      ['step 11', 'latents_step_10', undefined],
      ['decode', 'frames', 'block.vae.decoder.conv_in'],
      ['frames', 'frames', undefined],
    ]);
    expect(conclusion(stages)).to.equal('3 of 14 above tolerance, first latents_step_1.');
  });

  it('fit 80 columns, whatever the steps and the names, and show what fails', () => {
    const long = 'block.vae.encoder.down_blocks.3.downsamplers.0';
    const many = Array.from({ length: 25 }, (_, i) => result(`latents_step_${i}`, 3e-5));
    const float64 = { own: 1e-7, diffusers: 1e-2 };
    const decided = { within: true, float64 };
    const carried = result('block.vae.decoder.conv_in', 0, { onReferenceInputs: true });
    const shown = [
      result('image_latents', 1e-2, decided),
      result('block.vae.quant_conv', 1e-2, decided),
      ...[result(long, 2), ...many, carried],
    ];
    const text = textReport(comparison(shown, { otherVersions: 'torch 1 instead of 2' }), false);
    const lines = text.split('\n');
    for (const line of lines) expect(line.length, line).to.be.at.most(80);
    expect(lines).to.include('step 25  3.0e-5 ABOVE 1e-5');
    expect(lines.filter((line) => /^latents_step_\d+ /.test(line))).to.have.length(9);
    expect(text).to.contain('... and 16 more, which --blocks shows\n');
    expect(text).to.contain('image_latents is 1.0e-7 from float64 here, 1.0e-2 in diffusers: the');
    expect(text).to.contain('Float64 decides for 1 block of the encoder, too.\n');
    expect(text.replaceAll('\n', ' ')).to.contain('inputs of diffusers: 1 block. The');
    expect(text.replaceAll('\n', ' ')).to.contain('which has torch 1 instead of 2.');
    expect(textReport(comparison(shown), true)).to.contain('latents_step_24 ');
  });

  it('never round what is not equal to 100 %', () => {
    const text = textReport(comparison([result('frames')]), false);
    expect(text).to.match(
      /^frames +99\.999 % of the 8-bit values equal, the others off by up to 1$/m,
    );
  });

  it('draw what is zero at the bottom and what is not finite at the top', () => {
    const rows = summarize([result('image_latents', 0), ...stages], 1);
    const svg = plotOf(rows);
    const heights = [...svg.matchAll(/ cy="([^"]+)"/g)].map(([, y]) => Number(y));
    expect(heights).to.have.length(6);
    for (const y of heights) expect(y).to.be.within(28, 250);
    expect(plotOf([])).to.equal('');
  });

  it('show hostile names as text', () => {
    const name = '<img src=x onerror=alert(1)>|`\u001b[2J\n@team';
    const hostile = comparison([result(name, 1)], { model: name, otherVersions: name });
    const html = htmlReport(hostile);
    expect(html).to.not.contain('<img');
    expect(html).to.contain('&#60;img src=x onerror');
    const markdown = markdownReport(hostile, () => true);
    expect(markdown).to.not.match(/<img|@team/);
    for (const text of [html, markdown, textReport(hostile, true)])
      expect(text).to.not.contain('\u001b');
    for (const line of markdown.split('\n').filter((line) => line.startsWith('|')))
      expect(line.match(/(?<!\\)\|/g)!.length, line).to.be.oneOf([3, 4]);
  });
});
