/**
 * Where the fixtures of these tests are, a folder for what they write, what files hold, and a check
 * of rejections.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { CheckpointError } from '../../src/checkpoints/errors.ts';
import { openSafetensors, type TensorToWrite } from '../../src/checkpoints/index.ts';

export function fixture(name: string): string {
  return fileURLToPath(new URL(`../fixtures/checkpoints/${name}`, import.meta.url));
}

/** Runs `use` with a new folder that is removed afterwards. */
export async function inTemporaryFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'checkpoints-'));
  try {
    await use(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Expects a CheckpointError with all of `parts` in its message, which it returns. */
export async function expectError(work: () => unknown, ...parts: string[]): Promise<string> {
  let error: unknown;
  try {
    await work();
  } catch (thrown) {
    error = thrown;
  }
  expect(error).to.be.instanceOf(CheckpointError);
  const { message } = error as CheckpointError;
  for (const part of parts) expect(message).to.include(part);
  expect(message).to.match(/[.]$/).and.not.include('\n');
  return message;
}

/** The bits of float32 values, so that NaN and -0 compare. */
export function bits(values: Float32Array): number[] {
  return [...new Uint32Array(values.buffer, values.byteOffset, values.length)];
}

/** The tensors of a file, as they are stored. */
export async function tensorsIn(path: string): Promise<Record<string, TensorToWrite>> {
  const file = await openSafetensors(path);
  const tensors: Record<string, TensorToWrite> = {};
  for (const name of file.names())
    tensors[name] = { ...file.info(name), data: await file.readRaw(name) };
  await file.close();
  return tensors;
}
