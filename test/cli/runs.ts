/**
 * What the tests of `svd generate` share: a folder to work in, a checkpoint in it, and ways to run
 * the command.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openSafetensors, savedDtypes, writeSafetensors } from '../../src/checkpoints/index.ts';
import { generateVideo } from '../../src/cli/generate/generateVideo.ts';
import { ProgressLine } from '../../src/cli/terminal/progress.ts';
import type { Session } from '../../src/cli/terminal/session.ts';
import type { FloatArray } from '../../src/pipelines/types.ts';
import { built } from '../harness/built.ts';
import { readFixture } from '../harness/fixtures.ts';
import { testBackend } from '../setup.ts';
import { writeCheckpoint } from './checkpoint.ts';
import { readGenerateCommand } from './generate/readCommand.ts';

/** The path of a picture among the fixtures. */
export const picture = (name: string) =>
  fileURLToPath(new URL(`../fixtures/images/${name}`, import.meta.url));

/** A folder for one suite. */
export async function workFolder(): Promise<{
  path: (name: string) => string;
  remove: () => Promise<void>;
}> {
  const folder = await mkdtemp(join(tmpdir(), 'svd-test-'));
  return { path: (name) => join(folder, name), remove: () => rm(folder, { recursive: true }) };
}

/** A folder for the suite around the call, with a small checkpoint in `model`. */
export function folderWithModel(): { path: (name: string) => string } {
  let folder: Awaited<ReturnType<typeof workFolder>>;
  before(async () => {
    folder = await workFolder();
    await writeSmallCheckpoint(folder.path('model'));
  });
  after(() => folder.remove());
  return { path: (name) => folder.path(name) };
}

/** The configs of the components that a pipeline fixture was made with. */
export async function componentsOf(
  fixture: string,
): Promise<Record<string, Record<string, unknown>>> {
  const { metadata } = await readFixture('pipelines', `${fixture}.safetensors`);
  return JSON.parse(metadata.components);
}

/** Writes a checkpoint that loads and runs fast, for what does not compare numbers. */
export async function writeSmallCheckpoint(folder: string): Promise<void> {
  const { unet, ...others } = await componentsOf('default-guidance');
  await writeCheckpoint(folder, {
    ...others,
    unet: { ...unet, layers_per_block: 1, sample_size: 5 },
  }); // 20x20, near to `small`
}

/** Writes a LoRA for the small checkpoint, whose values are all `value`. */
export async function writeSmallLora(path: string, value: number): Promise<void> {
  const layer = 'mid_block.attentions.0.transformer_blocks.0.attn1.to_q';
  const values = { dtype: savedDtypes.float32, data: () => new Float32Array(64).fill(value) };
  await writeSafetensors(path, {
    [`${layer}.lora_A.weight`]: { ...values, shape: [1, 64] },
    [`${layer}.lora_B.weight`]: { ...values, shape: [64, 1] },
  });
}

/** The quickest useful settings, for the small checkpoint. */
export const small = [
  '--height',
  '16',
  '--width',
  '24',
  '--num-frames',
  '2',
  '--num-inference-steps',
  '1',
];

/** Runs `svd generate` within this process. */
export async function generate(
  args: string[],
  watch: Partial<Session> = {},
  isKept?: Parameters<typeof generateVideo>[2],
) {
  const notes: string[] = [];
  const note = (text: string) => notes.push(text);
  const command = readGenerateCommand([...args, '--backend', testBackend]);
  const session = {
    signal: new AbortController().signal,
    progress: new ProgressLine(),
    note,
    ...watch,
  };
  const report = await generateVideo(command, session, isKept);
  return { ...report, notes };
}

/**
 * The options for the backend of the tests, for a process of its own: as in setup.ts, wasm has one
 * thread.
 */
export const onTestBackend = [
  ...['--backend', testBackend],
  ...(testBackend === 'wasm' ? ['--threads', '1'] : []),
];

/** What a command prints to standard error but for its progress, whose lines depend on the time. */
export const withoutProgress = (stderr: string) => stderr.replace(/^progress: .*\n/gm, '');

/** A process that runs `svd`. */
export function startSvd(args: string[], env: Record<string, string> = {}) {
  const child = spawn(process.execPath, [built('src/cli/main.js'), ...args], {
    env: { ...process.env, ...env },
  });
  const text = { stdout: '', stderr: '' };
  child.stdout.on('data', (data) => {
    text.stdout += data;
  });
  child.stderr.on('data', (data) => {
    text.stderr += data;
  });
  const ended = new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve) => {
    child.on('close', (code) => resolve({ code, ...text, stderr: withoutProgress(text.stderr) }));
  });
  return { child, ended };
}

/** Runs `svd` to its end. */
export const svd = (...args: string[]) => startSvd(args).ended;

/** Every tensor of a safetensors file, and its metadata. */
export async function readTensors(path: string) {
  const file = await openSafetensors(path);
  const tensors: Record<string, FloatArray> = {};
  for (const name of file.names())
    tensors[name] = { data: await file.read(name), shape: file.info(name).shape };
  await file.close();
  return { tensors, metadata: file.metadata };
}
