/** Errors with exit codes of their own. All others exit with 1. */

/** The arguments are wrong: exit code 2. */
export class UsageError extends Error {
  override name = 'UsageError';
}

/** The user stopped the command by SIGINT or SIGTERM: exit code 130. */
export class Interrupted extends Error {
  override name = 'Interrupted';
  constructor() {
    super('interrupted');
  }
}

/** The exit code for `error`: 2 for wrong usage, 130 when interrupted, else 1. */
export function exitCode(error: unknown): number {
  if (error instanceof UsageError) return 2;
  return error instanceof Interrupted ? 130 : 1;
}
