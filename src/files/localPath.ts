/** The paths of `file:` addresses. */
import { fileURLToPath } from 'node:url';
import { messageOf } from '../text/messages.ts';

/**
 * The path of a `file:` address; any other text as it is.
 * @throws Error if the address names no file of this machine.
 */
export function localPath(text: string): string {
  if (!/^file:/i.test(text)) return text;
  try {
    return fileURLToPath(text);
  } catch (error) {
    throw new Error(
      `"${text}" is not the address of a file (${messageOf(error)}). Pass the path of the file.`,
      { cause: error },
    );
  }
}
