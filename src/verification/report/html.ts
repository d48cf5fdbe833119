/** A comparison as one HTML file that needs nothing else. */
import {
  type BackendComparison,
  type Comparison,
  type FramesSheet,
  versionsNote,
  versionsOf,
} from './comparison.ts';
import { plotOf, htmlText as text } from './plot.ts';
import {
  blockCell,
  conclusion,
  distanceOf,
  notesOf,
  short,
  stageCell,
  summarize,
} from './summary.ts';

const STYLE = `
:root { color-scheme: light dark; --text: #1f2328; --quiet: #59636e; --line: #d1d9e0; --page: #fff;
  --own: #0969da; --limit: #9a6700; --good: #1a7f37; --bad: #cf222e; }
@media (prefers-color-scheme: dark) { :root { --text: #f0f6fc; --quiet: #9198a1; --line: #3d444d;
  --page: #0d1117; --own: #4493f8; --limit: #d29922; --good: #3fb950; --bad: #f85149; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--page);
  max-width: 1080px; margin: 0 auto; padding: 16px; overflow-wrap: anywhere; }
h1 { font-size: 24px; line-height: 1.25; margin: 8px 0; } h2 { font-size: 18px; margin: 32px 0 8px; }
h3 { font-size: 15px; margin: 24px 0 4px; } p { margin: 8px 0; }
.quiet, figcaption, th { color: var(--quiet); } .good { color: var(--good); }
.bad { color: var(--bad); font-weight: 600; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 4px 16px 4px 0; border-bottom: 1px solid var(--line);
  overflow-wrap: normal; font-weight: normal; }
td:not(:last-child) { white-space: nowrap; }
svg { display: block; width: 100%; min-width: 520px; max-width: 900px; }
svg text { font-size: 12px; fill: var(--quiet); } .grid { stroke: var(--line); }
polyline { fill: none; stroke-width: 2; } polyline.own { stroke: var(--own); } circle.own { fill: var(--own); }
circle.above { fill: var(--bad); } .limit { stroke: var(--limit); stroke-width: 2; stroke-dasharray: 5 4; }
.sheet { display: grid; gap: 4px; margin: 4px 0 12px; }
.sheet figure { margin: 0; } .sheet img { width: 100%; display: block; }
summary { cursor: pointer; margin: 16px 0 8px; }
`;

/** The whole page. */
export function htmlReport(comparison: Comparison): string {
  const { within, model, reference, call, seeds, backends, blockStep } = comparison;
  const note = versionsNote(comparison);
  const settings = [
    `${call.numFrames} frames of ${call.width}x${call.height}`,
    `${call.numInferenceSteps} steps`,
    `seed ${seeds.join(', ')}`,
  ].join(', ');
  return [
    '<!doctype html>',
    '<html lang="en"><head><meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">`,
    `<title>${text(`svd verify: ${model}`)}</title><style>${STYLE}</style></head><body>`,
    `<h1>${text(model)}: ${within ? '<span class="good">within tolerance</span>' : '<span class="bad">above tolerance</span>'}</h1>`,
    `<p>Every stage of a call, compared with ${text(versionsOf(comparison))} by ${text(reference)}: ${text(settings)}.</p>`,
    note === undefined ? '' : `<p class="bad">${text(note)}</p>`,
    ...backends.map((backend) => section(backend, blockStep)),
    '</body></html>',
    '',
  ].join('\n');
}

function section(backend: BackendComparison, blockStep: number | null): string {
  const { title, problem, stages, sheet } = backend;
  const heading = `<h2>${text(title)}</h2>`;
  if (problem !== undefined) return `${heading}<p>${text(problem)}</p>`;
  const rows = summarize(stages, blockStep);
  const within = stages.every((result) => result.within);
  return [
    heading,
    `<p class="${within ? 'good' : 'bad'}">${text(conclusion(stages))}</p>`,
    table(
      ['part', 'relative L2', 'worst block'],
      rows.map((row) => ({
        cells: [row.part, stageCell(row), ...(row.part === 'frames' ? [] : [blockCell(row)])],
        within: row.stage?.within !== false && row.block?.within !== false,
      })),
    ),
    ...notesOf(stages).map((note) => `<p class="quiet">${text(note)}</p>`),
    `<h3>Error by part of the call</h3><div class="wide">${plotOf(rows)}</div>`,
    sheet ? pictures(sheet) : '',
    `<details><summary>Every stage and block</summary>${everything(backend)}</details>`,
  ].join('\n');
}

function everything({ stages }: BackendComparison): string {
  const rows = stages.map((result) => {
    const { stage, within, tolerance, comparison, problem } = result;
    if (!comparison) return { within, cells: [stage, problem ?? ''] };
    const { shape, maxAbs, cosine } = comparison;
    const numbers = [distanceOf(result), tolerance, maxAbs].map(short);
    return { within, cells: [stage, ...numbers, cosine.toFixed(9), `[${shape}]`] };
  });
  return table(['stage', 'relative L2', 'allowed', 'max abs', 'cosine', 'shape'], rows);
}

/** The last cell of a short row has the width of those that are missing. */
function table(header: string[], rows: { cells: string[]; within: boolean }[]): string {
  const head = header.map((cell) => `<th scope="col">${cell}</th>`).join('');
  const body = rows.map(({ cells, within }) => {
    const row = cells.map((cell, i) => {
      const columns = i === cells.length - 1 ? header.length - i : 1;
      return `<td${columns > 1 ? ` colspan="${columns}"` : ''}>${text(cell)}</td>`;
    });
    return `<tr${within ? '' : ' class="bad"'}>${row.join('')}</tr>`;
  });
  return `<div class="wide"><table><thead><tr>${head}</tr></thead><tbody>${body.join('\n')}</tbody></table></div>`;
}

function pictures({ frames, rows }: FramesSheet): string {
  const columns = `style="grid-template-columns: repeat(${frames.length}, minmax(120px, 1fr))"`;
  return [
    '<h3>Frames</h3>',
    ...rows.map(({ label, pictures }) => {
      const figures = pictures.map(
        (png, i) =>
          `<figure><img alt="${text(`${label}, frame ${frames[i]}`)}" src="data:image/png;base64,${base64(png)}">` +
          `<figcaption>${frames[i]}</figcaption></figure>`,
      );
      return `<p class="quiet">${text(label)}</p><div class="wide"><div class="sheet" ${columns}>${figures.join('')}</div></div>`;
    }),
  ].join('\n');
}

/** Bytes as text, a piece at a time: an argument list cannot be as long as a picture. */
function base64(bytes: Uint8Array): string {
  let binary = '';
  for (let i = 0; i < bytes.length; i += 0x8000)
    binary += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
  return btoa(binary);
}
