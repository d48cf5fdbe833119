/**
 * Keeps what a checkpoint names inside its folder: neither links nor `..` lead to other files of
 * the machine.
 */
import { realpath } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { CheckpointError, quoted } from '../errors.ts';

/**
 * Looks where the files of a model lie. Those that do not exist are passed over. A model in the
 * hub's cache consists of links to the contents of its repository.
 * @throws CheckpointError if one lies outside of `folder`.
 */
export async function checkInside(folder: string, files: string[]): Promise<void> {
  const real = await realpath(folder).catch(() => undefined);
  if (real === undefined) return;
  const parts = real.split(sep);
  const snapshots = parts.findIndex(
    (part, i) => part === 'snapshots' && parts[i - 1]?.startsWith('models--'),
  );
  const root = parts.slice(0, snapshots < 0 ? undefined : snapshots).join(sep) + sep;
  for (const file of files) {
    const target = await realpath(join(folder, file)).catch(() => undefined);
    if (target === undefined || target.startsWith(root)) continue;
    throw new CheckpointError(
      `${join(folder, file)} leads out of its folder, to ${quoted(target)}: it is not read. ` +
        'Put the file itself there if it belongs to the model.',
    );
  }
}
