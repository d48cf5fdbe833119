/** Keeps a process from going on when the one that has started it was killed. */
import { Worker } from 'node:worker_threads';

/**
 * The program of the thread, which looks while the other threads compute. It is a text, because a
 * file would have another place and language in sources and in builds.
 */
const threadSource = `
const { ppid } = process;
setInterval(() => {
  if (process.ppid !== ppid) process.kill(process.pid, 'SIGKILL');
}, 500);`;

/** Ends this process, whatever it does, soon after its parent has ended. */
export function endWithParent(): void {
  process.once('disconnect', () => process.exit(1));
  new Worker(threadSource, { eval: true }).unref();
}
