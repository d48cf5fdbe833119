/** A comparison as text for a terminal of 80 columns. */
import { printable } from '../../text/printable.ts';
import {
  type BackendComparison,
  type Comparison,
  versionsNote,
} from '../../verification/report/comparison.ts';
import {
  blockCell,
  conclusion,
  notesOf,
  short,
  stageCell,
  summarize,
  verdictOf,
} from '../../verification/report/summary.ts';
import type { StageResult } from '../../verification/stageResult.ts';
import { alignColumns, COLUMNS, wrap } from '../terminal/help.ts';

/** Rows of a table that is not asked for by `--blocks`. */
const MOST_ROWS = 10;

/** @param allRows Whether every stage and block gets a row, or only what is above tolerance. */
export function textReport(comparison: Comparison, allRows: boolean): string {
  const note = versionsNote(comparison);
  return [
    ...comparison.backends.map((backend) => section(backend, comparison.blockStep, allRows)),
    ...(note === undefined ? [] : [wrap(printable(note), COLUMNS).join('\n')]),
  ].join('\n\n');
}

function section(
  { title, problem, stages }: BackendComparison,
  blockStep: number | null,
  allRows: boolean,
): string {
  if (problem !== undefined) return `${title}: ${printable(problem)}`;
  const broken = stages.filter(({ within }) => !within);
  const rows = summarize(stages, blockStep);
  // The sentence about frames is not a column.
  const cells = rows.map((row) => [
    row.part,
    row.part === 'frames' ? '' : stageCell(row),
    blockCell(row),
  ]);
  const lines = alignColumns([['part', 'relative L2', 'worst block'], ...cells]);
  for (const [i, row] of rows.entries())
    if (row.part === 'frames') lines[i + 1] = lines[i + 1].padEnd(12) + stageCell(row);
  const shown = allRows ? stages : broken.slice(0, MOST_ROWS);
  const more = allRows ? 0 : broken.length - shown.length;
  return [
    ...wrap(printable(title), COLUMNS),
    ...lines,
    ...(shown.length > 0 ? ['', ...table(shown)] : []),
    ...(more > 0 ? [`... and ${more} more, which --blocks shows`] : []),
    ...notesOf(stages).flatMap((note) => wrap(printable(note), COLUMNS)),
    printable(conclusion(stages)),
  ].join('\n');
}

const table = (results: readonly StageResult[]): string[] =>
  alignColumns([
    ['stage or block', 'relative L2', 'max abs', 'cosine'],
    ...results.map((result) => {
      const { stage, comparison } = result;
      const name = stage.replace(/^block\./, '');
      if (!comparison) return [name, verdictOf(result), '', ''];
      return [name, verdictOf(result), short(comparison.maxAbs), comparison.cosine.toFixed(6)];
    }),
  ]);
