/** The memory of an NVIDIA card, as `nvidia-smi` shows it. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

const query = ['--id=0', '--query-gpu=memory.used', '--format=csv,noheader,nounits', '-lms', '250'];

/**
 * Samples the memory of the card from now on.
 * @returns A function that ends it. It gives by how much the memory in use has grown at most, in
 * bytes, or undefined without `nvidia-smi`.
 */
export function sampleCardMemory(command = 'nvidia-smi'): () => number | undefined {
  let [first, most]: (number | undefined)[] = [];
  const child = spawn(command, query, { stdio: ['ignore', 'pipe', 'ignore'] });
  child.on('error', () => {}); // it is not installed
  createInterface({ input: child.stdout }).on('line', (line) => {
    const used = Number.parseInt(line, 10);
    if (Number.isNaN(used)) return;
    first ??= used;
    most = Math.max(most ?? used, used);
  });
  return () => {
    child.kill();
    return first === undefined ? undefined : (most! - first) * 2 ** 20;
  };
}
