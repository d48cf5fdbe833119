/** Fetches files of a commit into the cache. */
import { readdir } from 'node:fs/promises';
import { spaceProblem } from '../../files/diskSpace.ts';
import { CheckpointError } from '../errors.ts';
import type { CachedRepository, Wanted } from './cache.ts';
import { soundFiles } from './compare.ts';
import { bytesLeft, fetchBlob, type RemoteFile } from './fetchBlob.ts';
import type { Origin } from './request.ts';

const FILES_AT_ONCE = 4;
/** Milliseconds between reports. */
const REPORT = 100;

/** Options of fetching files. */
export interface FetchOptions extends Wanted {
  /**
   * Compare everything in the cache with its hash. Downloads, and files that others have left
   * there, are compared once in any case.
   */
  verify?: boolean;
  /**
   * Called ten times a second with the bytes that have been downloaded, or compared with their
   * hashes, and with all bytes.
   */
  onProgress?: (progress: {
    stage: 'downloading' | 'comparing';
    step: number;
    steps: number;
  }) => void;
  /** Stops the download; the next one continues it. */
  signal?: AbortSignal;
}

/** A commit, the cache that it comes into, and the hub that it comes from. */
export interface CommitDownload {
  repository: CachedRepository;
  origin: Origin;
  commit: string;
  options: FetchOptions;
}

/**
 * Fetches the files that the cache lacks, several at a time, and gives all of them their places in
 * the commit.
 */
export async function fetchFiles(
  { repository, origin, commit, options }: CommitDownload,
  all: RemoteFile[],
): Promise<void> {
  const { onProgress, signal } = options;
  const files: RemoteFile[] = [];
  const present: RemoteFile[] = [];
  for (const file of all) {
    // a copy needs no content
    if (await repository.isChecked(repository.copyKey(commit, file.path))) continue;
    files.push(file);
    if (await repository.has(file)) present.push(file);
  }
  const sound = await soundFiles(repository, present, options);
  const toFetch = files.filter((file) => !sound.has(file));
  const names = await readdir(repository.blobs);
  const sizes = await Promise.all(
    toFetch.map(async (file) => file.size - (await bytesLeft(repository.blobs, names, file))),
  );
  const steps = sizes.reduce((sum, size) => sum + size, 0);
  const problem = await spaceProblem(repository.folder, steps, 'The download');
  if (problem)
    throw new CheckpointError(
      `${problem} Free space there, or choose another folder with --cache-dir or HF_HUB_CACHE.`,
    );

  const failed = new AbortController();
  const stoppable = {
    ...origin,
    signal: signal ? AbortSignal.any([signal, failed.signal]) : failed.signal,
  };
  let came = 0;
  let last = performance.now();
  const report = (bytes: number) => {
    came += bytes;
    if (performance.now() - last < REPORT) return;
    last = performance.now();
    onProgress?.({ stage: 'downloading', step: Math.min(Math.max(came, 0), steps), steps });
  };
  if (steps > 0) onProgress?.({ stage: 'downloading', step: 0, steps });
  const queue = [...toFetch];
  const work = async () => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      await fetchBlob(stoppable, file, repository.blobs, report);
    }
  };
  const ends = await Promise.allSettled(
    Array.from({ length: FILES_AT_ONCE }, () =>
      work().catch((error) => {
        failed.abort(error); // the others stop with the same error, and leave what they have
        throw error;
      }),
    ),
  );
  const end = ends.find((result) => result.status === 'rejected');
  if (end) throw signal?.aborted ? signal.reason : failed.signal.reason;
  if (steps > 0) onProgress?.({ stage: 'downloading', step: steps, steps });
  for (const file of files) await repository.name(file.hash, commit, file.path);
  // What has come was compared with its hash on the way, and what was copied of it is the same.
  const paths = files.map(({ path }) => path);
  const copies = await repository.copies(commit, paths);
  await repository.rememberChecked([
    ...files.map(({ hash }) => hash),
    ...copies.map((path) => repository.copyKey(commit, path)),
  ]);
}
