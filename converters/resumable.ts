/**
 * Writes large files so that whatever ends the work, the next run goes on where it ended.
 * Everything goes into a hidden folder beside the target, `.TARGET.partial`, with a journal of the
 * parts that are there and their checksums; at the end it takes the target's place in one step.
 */
import { mkdir, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { crc32 } from 'node:zlib';
import { checkSpace } from '../src/checkpoints/diskSpace.ts';
import { CheckpointError, causeOf } from '../src/checkpoints/errors.ts';
import { isAlive } from '../src/files/process.ts';
import { Pieces } from './pieces.ts';
import { WriteThread } from './writeThread.ts';

/** One step of the work: some bytes, of a size that is known before. */
export interface Part {
  bytes: number;
  make(): Promise<Made>;
}

/** The bytes of a part, and what is to be remembered of them. */
export interface Made {
  data: Uint8Array;
  note?: unknown;
}

/**
 * One file or several, which hold the bytes of all parts, one after the other, behind a head that
 * is written last.
 */
export interface Run {
  /** The files by their paths in the target, empty if that is the file itself, with their sizes. */
  pieces: { path: string; bytes: number }[];
  /** Bytes before the first part. */
  headBytes: number;
  parts: Part[];
  /** Makes the head, and the text files that belong to these, once all parts are there. */
  finish(notes: unknown[]): Promise<{ head?: Uint8Array; texts?: Record<string, string> }>;
}

/** What `writeResumably` writes. */
export interface Work {
  /** Says what is done of what, so that other work is not gone on with. */
  job: unknown;
  runs: Run[];
  signal?: AbortSignal;
  /** Told of what is written, whose memory is free for the parts to come. */
  onWritten?: (data: Uint8Array) => void;
  /** Told of the bytes that are there. */
  onProgress?: (done: number, total: number) => void;
}

/** A part that is there, as a line of the journal. */
interface Line {
  crc: number;
  note?: unknown;
}

/**
 * Parts that are made ahead of the one that is written: reading, computing and writing go on beside
 * each other.
 */
const AHEAD = 2;

/**
 * Writes `target`, a file or a folder, from where an earlier run has ended. There must be nothing
 * in its place, unless that run ended just then.
 * @throws CheckpointError if there is something, the disk is full, or another process does the
 * same; what the parts throw; the signal's reason.
 */
export async function writeResumably(target: string, work: Work): Promise<void> {
  const path = resolve(target);
  const partial = partialOf(path);
  try {
    if (!(await exists(path))) await fill(path, partial, work);
    else if (!(await isDone(partial, work))) throw taken(target);
    await rm(partial, { recursive: true });
  } catch (error) {
    if (!(error instanceof Error && 'syscall' in error)) throw error;
    const message = `${target} cannot be written: ${causeOf(error)}. Run the same again when that is mended: it goes on where it ended.`;
    throw new CheckpointError(message, { cause: error });
  }
}

/**
 * Looks before all work. @throws CheckpointError if there is something at `target` that no
 * interrupted run can have left.
 */
export async function checkFree(target: string): Promise<void> {
  if ((await exists(target)) && !(await exists(partialOf(resolve(target))))) throw taken(target);
}

const partialOf = (path: string) => join(dirname(path), `.${basename(path)}.partial`);
const exists = async (path: string) => (await stat(path).catch(() => undefined)) !== undefined;
const taken = (target: string) =>
  new CheckpointError(
    `There is already something at ${target}. Remove it or choose another place.`,
  );

const header = ({ job }: Work) => JSON.stringify(job);

/** Whether the target is what this work has left, which ended before it had tidied up. */
async function isDone(partial: string, work: Work): Promise<boolean> {
  const journal = await readJournal(partial);
  return journal?.header === header(work) && !(await exists(join(partial, 'output')));
}

async function fill(path: string, partial: string, work: Work): Promise<void> {
  const { runs, signal, onWritten, onProgress } = work;
  signal?.throwIfAborted();
  const lock = await locked(partial);
  try {
    const output = join(partial, 'output');
    const lines = await linesOf(partial, output, work);
    const total = runs.reduce((sum, { parts }) => sum + bytesOf(parts), 0);
    let done = bytesOf(runs.flatMap(({ parts }) => parts).slice(0, lines.length));
    await checkSpace(
      dirname(path),
      total - done,
      'The conversion',
      'Free space there or choose another place.',
    );
    onProgress?.(done, total);
    const journal = await open(join(partial, 'journal'), 'a');
    const thread = new WriteThread();
    const written: { run: Run; notes: unknown[] }[] = [];
    try {
      for (const run of runs) {
        const notes = lines.splice(0, run.parts.length).map(({ note }) => note);
        written.push({ run, notes });
        const pieces = await Pieces.open(output, run.pieces);
        let writing: Promise<void> | undefined;
        const write = async ({ data, note }: Made, position: number, before = writing) => {
          const stored = thread.write(data, pieces.spansOf(data.length, position));
          // beside the thread, on which it would be in the way of the next part
          const crc = crc32(data);
          await stored;
          await before;
          await journal.appendFile(`${JSON.stringify({ crc, note } satisfies Line)}\n`);
          onWritten?.(data);
          done += data.length;
          onProgress?.(done, total);
        };
        try {
          let position = run.headBytes + bytesOf(run.parts.slice(0, notes.length));
          for await (const made of inOrder(run.parts.slice(notes.length))) {
            signal?.throwIfAborted();
            const before = writing;
            writing = write(made, position);
            writing.catch(() => {}); // looked at when its turn comes
            notes.push(made.note);
            position += made.data.length;
            await before; // so that the thread has the next part when it has written one
          }
          await writing;
        } finally {
          await Promise.allSettled([writing]);
          await pieces.close();
        }
      }
    } finally {
      await thread.close();
      await journal.close();
    }
    // Not before all parts are there: the hashes of the source are in it, which are computed until
    // then.
    for (const { run, notes } of written) {
      signal?.throwIfAborted();
      await finish(output, run, notes);
    }
    signal?.throwIfAborted();
    await rename(output, path);
  } finally {
    await rm(lock, { force: true });
  }
}

/** Writes the head and the text files of a run whose parts are there. */
async function finish(output: string, run: Run, notes: unknown[]): Promise<void> {
  const { head, texts = {} } = await run.finish(notes);
  if (head) {
    const pieces = await Pieces.open(output, run.pieces);
    try {
      await pieces.write(head, 0);
    } finally {
      await pieces.close();
    }
  }
  for (const [name, text] of Object.entries(texts)) {
    await mkdir(dirname(join(output, name)), { recursive: true });
    await writeFile(join(output, name), text);
  }
}

const bytesOf = (parts: Part[]) => parts.reduce((sum, { bytes }) => sum + bytes, 0);

/** What parts make, in their order, some of them made ahead. */
async function* inOrder(parts: Part[]): AsyncGenerator<Made> {
  const ahead: ReturnType<Part['make']>[] = [];
  try {
    for (let next = 0; next < parts.length || ahead.length > 0; ) {
      while (next < parts.length && ahead.length <= AHEAD) {
        const made = parts[next++].make();
        made.catch(() => {}); // looked at when its turn comes
        ahead.push(made);
      }
      yield await ahead[0];
      ahead.shift();
    }
  } finally {
    await Promise.allSettled(ahead); // so that the source can be closed
  }
}

/** Makes the folder, and a file in it that keeps others out while this process lives. */
async function locked(partial: string): Promise<string> {
  await mkdir(partial, { recursive: true });
  const lock = join(partial, 'lock');
  const owner = Number(await readFile(lock, 'utf8').catch(() => '0'));
  if (owner > 0 && owner !== process.pid && isAlive(owner)) {
    throw new CheckpointError(`Process ${owner} is writing ${partial}. Wait until it has ended.`);
  }
  await writeFile(lock, String(process.pid));
  return lock;
}

async function readJournal(
  partial: string,
): Promise<{ header: string; lines: Line[] } | undefined> {
  const text = await readFile(join(partial, 'journal'), 'utf8').catch(() => '');
  // a line that was not finished counts for nothing
  const [header, ...rest] = text.slice(0, text.lastIndexOf('\n') + 1).split('\n');
  if (!header) return undefined;
  const lines = rest.filter((line) => line !== '').map((line) => JSON.parse(line) as Line);
  return { header, lines };
}

/**
 * The lines of the parts that are there, as far as their checksums are right, in a journal that has
 * these alone.
 */
async function linesOf(partial: string, output: string, work: Work): Promise<Line[]> {
  const journal = await readJournal(partial).catch(() => undefined);
  const lines: Line[] = [];
  if (journal?.header === header(work)) {
    for (const run of work.runs) {
      const pieces = await Pieces.open(output, run.pieces);
      try {
        let position = run.headBytes;
        for (const { bytes } of run.parts) {
          const line = journal.lines[lines.length];
          if (line === undefined || crc32(await pieces.read(bytes, position)) !== line.crc) break;
          lines.push(line);
          position += bytes;
        }
      } finally {
        await pieces.close();
      }
      if (
        lines.length <
        work.runs
          .slice(0, work.runs.indexOf(run) + 1)
          .reduce((sum, { parts }) => sum + parts.length, 0)
      )
        break;
    }
  } else {
    await rm(output, { recursive: true, force: true });
  }
  await writeFile(
    join(partial, 'journal'),
    [header(work), ...lines.map((line) => JSON.stringify(line)), ''].join('\n'),
  );
  return lines;
}
