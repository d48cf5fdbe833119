/**
 * Reports on every backend without touching the current one: each is tried in a separate process.
 */
import { execFile } from 'node:child_process';
import { scriptArguments } from './packages.ts';
import { type BackendName, type BackendReport, backendNames, providers } from './types.ts';

/**
 * Tries a backend in another process: importing a native one may print, take memory of a graphics
 * card or end the process.
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
 * Reports on each backend, in the order in which `auto` tries them. The current backend of this
 * process stays.
 */
export async function listBackends(): Promise<BackendReport[]> {
  const reports: BackendReport[] = [];
  for (const name of backendNames) reports.push(await probe(name));
  return reports;
}
