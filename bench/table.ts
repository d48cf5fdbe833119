/** The results as a Markdown table, which terminals show well, too. */
import type { Row } from './measure.ts';

/** A table with padded columns, the first aligned to the left and the others to the right. */
export function markdown(heads: string[], lines: string[][]): string {
  const widths = heads.map((head, i) =>
    Math.max(head.length, ...lines.map((line) => line[i].length)),
  );
  const row = (cells: string[]) =>
    '| ' +
    `${cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join(' | ')} ` +
    '|';
  const rule =
    '| ' +
    `${widths.map((width, i) => (i === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`)).join(' | ')} ` +
    '|';
  return [row(heads), rule, ...lines.map(row)].join('\n');
}

/** Seconds with three significant digits. */
export const seconds = (value: number) => (value < 100 ? value.toPrecision(3) : value.toFixed(0));

/** GiB with two decimals. */
export const gib = (bytes: number) => (bytes / 2 ** 30).toFixed(2);

/** A table with a line for each case. */
export function table(rows: Row[]): string {
  const heads = [
    'case',
    'ours s',
    'diffusers s',
    'ratio',
    'ours GiB',
    'diffusers GiB',
    'rounds',
    'relative L2',
  ];
  const lines = rows.map((row) => [
    row.peer.startsWith('torch') ? row.case : `${row.case} (against ${row.peer.split(' ')[0]})`,
    ...[seconds(row.ours_seconds), seconds(row.peer_seconds), row.ratio.toFixed(2)],
    ...[
      gib(row.ours_peak_bytes),
      gib(row.peer_peak_bytes),
      `${row.rounds}`,
      row.relative_l2.toExponential(1),
    ],
  ]);
  return markdown(heads, lines);
}
