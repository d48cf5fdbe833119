/** The error that every checkpoint problem is reported by. */
import { printable } from '../text/printable.ts';

export { quoted } from '../text/printable.ts';

/**
 * A weight file, model folder or set of weights that cannot be used. The message names the file and
 * says what is wrong. It is one line, whatever the names in the files are.
 */
export class CheckpointError extends Error {
  /** Tells it from other errors. */
  override name = 'CheckpointError';

  constructor(message: string, options?: ErrorOptions) {
    super(printable(message), options);
  }
}

const systemErrors: Record<string, string> = {
  ENOENT: 'it does not exist',
  ENOTDIR: 'it is not a folder',
  EISDIR: 'it is a folder',
  EACCES: 'permission is denied',
  ENOSPC: 'the disk is full',
  ENAMETOOLONG: 'its name is too long',
  EROFS: 'the disk is read-only',
  EPIPE: 'nothing reads it any more',
};

/** Why something failed, in words. */
export function causeOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = 'code' in error ? String(error.code) : '';
  return systemErrors[code] ?? error.message;
}

/**
 * For `catch`: throws what the file system refused to read as a CheckpointError that names the
 * path, and other errors as they are.
 */
export function unreadable(error: unknown): never {
  if (!(error instanceof Error && 'path' in error)) throw error;
  throw new CheckpointError(`Cannot read ${error.path}: ${causeOf(error)}.`, { cause: error });
}

/**
 * Runs work that writes `path`.
 * @throws CheckpointError that names `path` and ends with `advice` if the file system refuses; what
 * else `work` throws.
 */
export async function namingRefused<T>(
  path: string,
  work: () => Promise<T>,
  advice = '',
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof Error) || error instanceof CheckpointError) throw error;
    const cause = 'syscall' in error ? error : error.cause;
    if (!(cause instanceof Error && 'syscall' in cause)) throw error;
    throw new CheckpointError(`Cannot write ${path}: ${causeOf(cause)}.${advice}`, { cause });
  }
}

/** `names` as one line, cut after `most` of them. */
export function listed(names: readonly string[], most = 20): string {
  const shown = names.slice(0, most).join(', ');
  return names.length > most ? `${shown} and ${names.length - most} more` : shown;
}
