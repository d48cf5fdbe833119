/**
 * tfjs-node 4.22.0 calls `util.isNullOrUndefined` and `util.isArray`, which Node 23 removed.
 * Mended upstream and never released: https://github.com/tensorflow/tfjs/pull/8425
 */
import { requireHere } from '../packages.ts';

/** Adds the two functions to Node's `util` module where they are missing. */
export function restoreNodeUtil(): void {
  // The CommonJS object, which tfjs-node uses. An ES import of it is read-only.
  const util = requireHere('node:util') as Record<string, unknown>;
  util.isNullOrUndefined ??= (value: unknown) => value === null || value === undefined;
  util.isArray ??= Array.isArray;
}
