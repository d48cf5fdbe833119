/** Lays out help texts for a terminal of 80 columns. */
import { printable } from '../../text/printable.ts';
import { flagOf, type Option, type Options, placeholderOf } from './options.ts';

/** Columns of a terminal. */
export const COLUMNS = 80;
/** Where the explanations of options begin. */
const INDENT = 29;

/** The parts of a help text. */
export interface HelpText {
  /** Lines that show how to call the command. */
  usage: string[];
  /** Paragraphs that say what it does. */
  about: string[];
  /** Options or other names with their explanations, by heading. */
  groups: Record<string, Options | Record<string, string>>;
  /** Complete command lines, one line or several each. */
  examples?: string[];
}

/** The help text, ready to print. */
export function formatHelp({ usage, about, groups, examples = [] }: HelpText): string {
  const sections = [`Usage: ${usage.join('\n       ')}`];
  sections.push(...about.map((paragraph) => wrap(paragraph, COLUMNS).join('\n')));
  for (const [heading, entries] of Object.entries(groups)) {
    const lines = Object.entries(entries).flatMap(([name, entry]) =>
      typeof entry === 'string'
        ? explained(name, entry)
        : explained(labelOf(name, entry), explanation(entry)),
    );
    sections.push([`${heading}:`, ...lines].join('\n'));
  }
  if (examples.length > 0)
    sections.push(
      ['Examples:', ...examples.map((example) => example.replace(/^/gm, '  '))].join('\n'),
    );
  return sections.join('\n\n');
}

/** `-o, --output FILE`. */
export function labelOf(name: string, option: Option): string {
  const short = option.short === undefined ? '' : `-${option.short}, `;
  return [`${short}--${flagOf(name, option)}`, placeholderOf(option) ?? []].flat().join(' ');
}

/** The help of an option with its default and its other names. */
export function explanation({ help, default: value, required, aliases = [] }: Option): string {
  return [
    help,
    required !== undefined ? 'Required.' : value === undefined ? [] : `Default: ${value}.`,
    aliases.length === 0 ? [] : `Also ${aliases.map((alias) => `--${alias}`).join(', ')}.`,
  ]
    .flat()
    .join(' ');
}

/**
 * `name` on the left and its explanation on the right, which starts a line below if the name is
 * long.
 */
function explained(name: string, help: string): string[] {
  const lines = wrap(help, COLUMNS - INDENT).map((line) => ' '.repeat(INDENT) + line);
  const label = `  ${name}`;
  if (label.length > INDENT - 2) return [label, ...lines];
  return [label.padEnd(INDENT) + lines[0].trimStart(), ...lines.slice(1)];
}

/** `text` in lines of at most `width` characters, broken at spaces. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width)
      lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

/** Rows of cells as lines with aligned columns; from the second on to the right if `right`. */
export function alignColumns(cells: string[][], right = false): string[] {
  const rows = cells.map((row) => row.map(printable));
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const aligned = (cell: string, column: number) =>
    right && column > 0 ? cell.padStart(widths[column]) : cell.padEnd(widths[column]);
  return rows.map((row) => row.map(aligned).join('  ').trimEnd());
}
