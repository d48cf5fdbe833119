/** Waits for what another process does. */
import { setTimeout as delay } from 'node:timers/promises';
import { patience } from './patience.ts';

/** Waits until something is so. `what` names it in the error if it never comes. */
export async function until(isSo: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (const start = Date.now(); !(await isSo()); await delay(20))
    if (Date.now() - start > patience) throw new Error(`it never came: ${what}`);
}
