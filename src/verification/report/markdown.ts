/** A comparison as Markdown, for summaries and comments of GitHub. */
import { printable } from '../../text/printable.ts';
import type { StageResult } from '../stageResult.ts';
import { type BackendComparison, type Comparison, versionsNote, versionsOf } from './comparison.ts';
import { blockCell, conclusion, notesOf, stageCell, summarize, verdictOf } from './summary.ts';

/** Text whose characters mean nothing to Markdown or HTML. */
const escaped = (text: string): string =>
  printable(text).replace(/[\\`*_{}[\]<>()#|~&!@]/g, (character) =>
    ['<', '>', '&', '@'].includes(character) ? `&#${character.charCodeAt(0)};` : `\\${character}`,
  );

const table = (header: string[], rows: string[][]): string =>
  [header, header.map(() => '---'), ...rows.map((row) => row.map(escaped))]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n');

/**
 * The report as Markdown.
 * @param rows Which stages and blocks get a row of their own.
 */
export function markdownReport(
  comparison: Comparison,
  rows: (result: StageResult) => boolean,
): string {
  const { within, model, reference, backends, blockStep } = comparison;
  return [
    `### svd verify: ${within ? 'within tolerance' : '**above tolerance**'}`,
    escaped(`${model} against ${reference}, which ${versionsOf(comparison)} made.`),
    escaped(versionsNote(comparison) ?? ''),
    ...backends.flatMap((backend) => section(backend, blockStep, rows)),
  ]
    .filter((text) => text !== '')
    .join('\n\n');
}

function section(
  { title, problem, stages }: BackendComparison,
  blockStep: number | null,
  isShown: (result: StageResult) => boolean,
): string[] {
  const heading = `#### ${escaped(title)}`;
  if (problem !== undefined) return [heading, escaped(problem)];
  const summary = summarize(stages, blockStep).map((row) => [
    row.part,
    stageCell(row),
    blockCell(row),
  ]);
  const shown = stages.filter(isShown).map((result) => [result.stage, verdictOf(result)]);
  return [
    heading,
    table(['part', 'relative L2', 'worst block'], summary),
    notesOf(stages)
      .map((note) => `* ${escaped(note)}`)
      .join('\n'),
    shown.length > 0 ? table(['stage or block', 'relative L2'], shown) : '',
    escaped(conclusion(stages)),
  ];
}
