/** Runs other programs: npm, python3, uv, g++. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** A program that could not be found. */
export class MissingTool extends Error {
  override name = 'MissingTool';
}

/** Options of `runTool`. */
export interface ToolOptions {
  cwd?: string;
  /** The environment. Default: that of this process. */
  env?: NodeJS.ProcessEnv;
  /** Receives each line of standard output. */
  onLine?: (line: string) => void;
  /** Stops the program. */
  signal?: AbortSignal;
}

/**
 * Runs a program to its end and returns its standard output.
 * @throws When the program fails, with its last words; the signal's reason once the program has
 * stopped. `MissingTool` when there is no such program.
 */
export async function runTool(
  command: string,
  args: string[],
  { onLine, signal, ...options }: ToolOptions = {},
): Promise<string> {
  signal?.throwIfAborted();
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
    const stop = () => child.kill();
    signal?.addEventListener('abort', stop);
    if (onLine) createInterface(child.stdout).on('line', onLine);
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
    child.on('close', (code, killedBy) => {
      signal?.removeEventListener('abort', stop);
      if (signal?.aborted) return reject(signal.reason);
      if (code === 0) return resolve(printed.stdout);
      reject(
        new Error(
          `\`${[command, ...args.slice(0, 4).filter(isShort)].join(' ')} ...\` failed ` +
            `(${killedBy ?? `exit code ${code}`}): ${lastWords(printed)}`,
        ),
      );
    });
  });
}

/** Whether an argument is no script. */
const isShort = (argument: string) => !argument.includes('\n');

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
