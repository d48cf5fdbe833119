/** What commands print. Control characters in names and values never reach the terminal. */
import { printable, printableLines } from '../../text/printable.ts';

/** Prints the result of a command, one line or several. */
export const print = (text: string): void => console.log(printableLines(text));

/** Shows a sentence about the command on standard error, as one line that begins with its kind. */
export function printNote(text: string, kind: 'note' | 'error' | 'done' = 'note'): void {
  process.stderr.write(`${kind}: ${printable(text)}\n`);
}
