/** Whether the storage of a browser has room for a model. */
import { unlessRefused } from './store.ts';

/** Downloads from this size on are worth asking the browser that it does not remove them. */
const LARGE = 2 ** 28;

/**
 * The bytes that the storage has room for, as far as the browser tells. For a large download, it is
 * asked to keep them until its user removes them.
 */
export async function roomFor(bytes: number): Promise<number> {
  const { storage } = Object(globalThis.navigator) as Partial<Navigator>;
  if (bytes >= LARGE) await unlessRefused(() => storage?.persist());
  const { quota = Number.POSITIVE_INFINITY, usage = 0 } =
    (await unlessRefused(() => storage?.estimate())) ?? {};
  return Math.max(0, quota - usage);
}
