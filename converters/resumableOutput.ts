/**
 * Writes an output so that the next run keeps its complete files, whatever has ended this one. A
 * hidden folder beside the target, `.TARGET.partial`, holds the complete files (`output`), the file
 * in the making (`writing`), the description of the work (`job.json`) and the number of the process
 * (`lock`). At the end, `output` takes the target's place in one step.
 */
import { readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { CheckpointError, namingRefused } from '../src/checkpoints/errors.ts';
import { spaceProblem } from '../src/files/diskSpace.ts';
import { makeFolder } from '../src/files/makeFolder.ts';
import { isAlive } from '../src/files/process.ts';
import { type OutputFile, sizeOf, writePieces } from '../src/files/writing/outputFile.ts';
import { targetOf, withoutLinks } from '../src/files/writing/target.ts';
import { hiddenName } from '../src/files/writing/temporary.ts';

/** Options of `writeResumably`. */
export interface ResumableOptions {
  /** Describes the work as JSON. Files of earlier runs are kept if theirs was the same. */
  job: unknown;
  /** Called with the bytes that are written. */
  onProgress?: (done: number, total: number) => void;
  /** Stops the work; the next call keeps complete files. */
  signal?: AbortSignal;
}

const exists = async (path: string) => (await stat(path).catch(() => undefined)) !== undefined;
const partialOf = (target: string) =>
  join(dirname(target), hiddenName(basename(target), '.partial'));
const taken = (target: string) =>
  new CheckpointError(`${target} already exists. Remove it or choose another place.`);

/**
 * @throws CheckpointError if `target` exists and no interrupted run can have left it, or its name
 * cannot be that of a file.
 */
export async function checkFree(target: string): Promise<void> {
  const { kind, path } = await namingRefused(target, () => targetOf(target));
  if (kind !== 'new' && !(await exists(partialOf(path)))) throw taken(target);
}

/**
 * Writes a folder of files, or one file, at `target`.
 * @throws CheckpointError if `target` exists, the disk is full, or another process writes it; what
 * the files throw; the signal's reason.
 */
export async function writeResumably(
  target: string,
  files: OutputFile[],
  options: ResumableOptions,
): Promise<void> {
  await checkFree(target);
  const path = await withoutLinks(target);
  const partial = partialOf(path);
  const [output, jobFile] = ['output', 'job.json'].map((name) => join(partial, name));
  const job = JSON.stringify(options.job);
  const write = async () => {
    const unlock = await lock(partial);
    try {
      const isSame = (await readFile(jobFile, 'utf8').catch(() => '')) === job;
      if (await exists(path)) {
        // The run that has made it may have ended just before it removed the rest.
        if (!isSame || (await exists(output))) throw taken(target);
      } else {
        if (!isSame) await rm(output, { recursive: true, force: true });
        await writeFile(jobFile, job);
        await fill(partial, files, options);
        await rename(output, path);
      }
    } finally {
      await unlock();
    }
    await rm(partial, { recursive: true });
  };
  await namingRefused(
    target,
    write,
    ' When that is solved, run it again: it keeps complete files.',
  );
}

/** Writes the files that are not complete. */
async function fill(
  partial: string,
  files: OutputFile[],
  { onProgress, signal }: ResumableOptions,
): Promise<void> {
  const [output, writing] = [join(partial, 'output'), join(partial, 'writing')];
  await rm(writing, { force: true });
  const missing: OutputFile[] = [];
  for (const file of files) {
    const found = await stat(join(output, file.path)).catch(() => undefined);
    if (found?.size !== sizeOf(file)) missing.push(file);
  }
  const sum = (list: OutputFile[]) => list.reduce((bytes, file) => bytes + sizeOf(file), 0);
  const total = sum(files);
  let done = total - sum(missing);
  const problem = await spaceProblem(dirname(partial), total - done, 'The conversion');
  if (problem) throw new CheckpointError(`${problem} Free space there or choose another place.`);
  onProgress?.(done, total);
  const onBytes = (bytes: number) => {
    done += bytes;
    onProgress?.(done, total);
  };
  for (const file of missing) {
    await writePieces(writing, file, { onBytes, signal });
    const path = join(output, file.path);
    await makeFolder(dirname(path));
    await rename(writing, path);
  }
  signal?.throwIfAborted();
}

/** The folders that this process is writing. */
const locked = new Set<string>();

/**
 * Makes the folder and keeps other writers out of it until the function that it returns is called.
 */
async function lock(partial: string): Promise<() => Promise<void>> {
  await makeFolder(partial);
  const file = join(partial, 'lock');
  const owner = Number(await readFile(file, 'utf8').catch(() => '0'));
  // A process that was killed may have had the number of this one.
  const isWriting = owner === process.pid ? locked.has(partial) : owner > 0 && isAlive(owner);
  if (isWriting)
    throw new CheckpointError(`Process ${owner} is writing ${partial}. Wait until it has ended.`);
  locked.add(partial);
  await writeFile(file, String(process.pid));
  return async () => {
    locked.delete(partial);
    await rm(file, { force: true });
  };
}
