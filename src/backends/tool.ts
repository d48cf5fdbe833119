/** Runs the programs that `svd setup` needs: npm, python3, g++. */
import { spawn } from 'node:child_process';

/** A program that could not be found. */
export class MissingTool extends Error {
  override name = 'MissingTool';
}

/**
 * Runs a program to its end and returns its standard output.
 * @throws When the program fails, with its last words. `MissingTool` when there is no such program.
 */
export function runTool(
  command: string,
  args: string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
    const printed = { stdout: '', stderr: '' };
    child.stdout.on('data', (text) => {
      printed.stdout += text;
    });
    child.stderr.on('data', (text) => {
      printed.stderr += text;
    });
    child.on('error', (error: NodeJS.ErrnoException) => {
      reject(error.code === 'ENOENT' ? new MissingTool(`${command} is not installed`) : error);
    });
    child.on('close', (code, signal) => {
      if (code === 0) return resolve(printed.stdout);
      reject(
        new Error(
          `\`${command} ${args.slice(0, 4).join(' ')} ...\` failed ` +
            `(${signal ?? `exit code ${code}`}): ${lastWords(printed)}`,
        ),
      );
    });
  });
}

/** Programs that commands need, and how to get them. */
const remedies = {
  npm: 'It comes with Node.',
  python3: 'Install it, for instance by `apt-get install python3 python3-pip`.',
  'g++': 'Install it, for instance by `apt-get install g++`.',
};

/** @throws Error that says how to get the first of some programs that is missing. */
export async function checkTools(command: string, names: (keyof typeof remedies)[]): Promise<void> {
  for (const name of names) {
    await runTool(name, ['--version']).catch((error) => {
      throw error instanceof MissingTool
        ? new Error(`\`${command}\` needs ${name}, which is not installed. ${remedies[name]}`)
        : error;
    });
  }
}

/**
 * The line that says most about a failure: the last one with the word "error", else the last one.
 */
function lastWords({ stdout, stderr }: { stdout: string; stderr: string }): string {
  const lines = `${stdout}\n${stderr}`
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.includes('A complete log of this run'));
  return lines.filter((line) => /error/i.test(line)).at(-1) ?? lines.at(-1) ?? 'it said nothing';
}

/**
 * Runs Python in `folder`, isolated: modules in the current folder, the user's own packages and
 * `PYTHON...` variables have no effect.
 */
export const runPython = (folder: string, ...args: string[]) =>
  runTool('python3', ['-I', ...args], { cwd: folder });
