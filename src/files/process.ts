/** Other processes, by the numbers that they have left in files or names. */
import { readFileSync } from 'node:fs';

/** Whether a process runs. One that has ended keeps its number until its parent waits for it. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !isZombie(pid);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/**
 * Names a process that runs so that no later one gets its name: by its number, which others get
 * again, and by when it was started, if the system tells.
 */
export const processName = (pid: number): string => `${pid}-${statusOf(pid)[19] ?? ''}`;

const isZombie = (pid: number) => statusOf(pid)[0] === 'Z';

/** What Linux tells of a process, from its state on; empty where the system tells nothing. */
function statusOf(pid: number): string[] {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return text.slice(text.lastIndexOf(') ') + 2).split(' ');
  } catch {
    return [];
  }
}
