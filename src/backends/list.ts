/**
 * Reports on every backend without touching the one in use: each is tried in a process of its own.
 */
import { execFile } from 'node:child_process';
import { scriptArguments } from './packages.ts';
import { type BackendName, type BackendReport, backendNames, providers } from './types.ts';

/**
 * Importing a native backend may print, take memory of a graphics card or end the process, so it
 * happens in another one.
 */
function probe(name: BackendName): Promise<BackendReport> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [...scriptArguments('probe'), name],
      { timeout: 120_000 },
      (error, stdout, stderr) => {
        const line = stdout.split('\n').find((text) => text.startsWith('{'));
        if (line !== undefined) return resolve(JSON.parse(line) as BackendReport);
        const lastWords = stderr.trim().split('\n').at(-1) || error?.message || 'it said nothing';
        resolve({
          name,
          package: providers[name],
          available: false,
          reason: `The ${name} backend ended its process: ${lastWords}`,
        });
      },
    );
  });
}

/**
 * Reports on each backend, in the order that `auto` tries them. The backend of this process stays
 * as it is.
 */
export async function listBackends(): Promise<BackendReport[]> {
  const reports: BackendReport[] = [];
  for (const name of backendNames) reports.push(await probe(name));
  return reports;
}
