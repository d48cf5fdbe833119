/** Packs this package once for all tests. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

export const run = promisify(execFile);
export const root = fileURLToPath(new URL('../..', import.meta.url));
export const NAME = 'stable-video-diffusion-tfjs';

/** What npm says of a packed package. */
export interface Packed {
  /** The path of the tarball. */
  tarball: string;
  /** Bytes of the tarball. */
  size: number;
  files: { path: string }[];
}

let packed: Promise<Packed> | undefined;

/** Builds and packs the package, at the first call. The process removes the tarball at its end. */
export function pack(): Promise<Packed> {
  packed ??= (async () => {
    const folder = mkdtempSync(join(tmpdir(), 'svd-pack-'));
    process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
    await run('npm', ['run', 'build'], { cwd: root });
    const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', folder];
    const [{ filename, size, files }] = JSON.parse((await run('npm', args, { cwd: root })).stdout);
    return { tarball: join(folder, filename), size, files };
  })();
  return packed;
}

/** Whether an error of npm says that there is no network to install from. */
export const isWithoutNetwork = (error: unknown): boolean =>
  /npm error code E(NOTFOUND|AI_AGAIN|CONN\w+|TIMEDOUT)/.test((error as { stderr: string }).stderr);
