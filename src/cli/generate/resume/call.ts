/** What the state of a call depends on, so that only the same call goes on from it. */
import { createHash } from 'node:crypto';
import * as tf from '@tensorflow/tfjs-core';
import { deviceName } from '../../../ops/device.ts';
import { differingNames } from '../../../pipelines/resume/callState.ts';
import { joined } from '../../../text/messages.ts';
import { flagOf, type Option, partOf } from '../../terminal/options.ts';
import { version } from '../../version.ts';
import type { Inputs } from '../inputs.ts';
import { textsOf } from '../like.ts';
import { type GenerateCommand, generateOptions } from '../options.ts';

/** A call, as the file of its state describes it. */
export interface Call {
  /** Its options, by name, and whether the tensors of its stages are dumped. */
  options: Record<string, unknown>;
  /** SHA-256 of the pictures and of the start noise. */
  inputs: string;
  /** What computes. */
  device: string;
  /** Version of this package. */
  version: string;
  /** SHA-256 of the checkpoint. */
  checkpoint?: string;
}

/**
 * Options that the latents do not depend on, those whose files `inputs` and `checkpoint` stand for,
 * and the backend, for which the device stands.
 */
const passedOver = [
  ...['decodeChunkSize', 'outputType', 'offload', 'weightDtype', 'forwardChunking', 'threads'],
  ...['model', 'latents', 'backend'],
];

/** The call of a command. Its checkpoint is not known yet. */
export async function callOf(command: GenerateCommand, inputs: Inputs): Promise<Call> {
  const all = partOf(command, generateOptions, 'call', 'checkpoint', 'loading');
  const options = Object.fromEntries(
    Object.entries(all).filter(([name]) => !passedOver.includes(name)),
  );
  return {
    options: { ...options, dump: command.dump !== undefined },
    inputs: await hashOf(inputs),
    device: deviceName(),
    version,
  };
}

async function hashOf({ image, latents }: Inputs): Promise<string> {
  const hash = createHash('sha256');
  for (const input of [image, latents ?? []].flat()) {
    const isTensor = input instanceof tf.Tensor;
    const data = isTensor ? await input.data() : input.data;
    hash.update(isTensor ? `[${input.shape}]` : `${input.width}x${input.height}`);
    hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return hash.digest('hex');
}

/** In words what another call had that this one has not; empty if they are the same. */
export function differenceOf(other: Call, { options, ...now }: Call): string {
  const { options: before, ...others } = other;
  const words: Record<string, string> = {
    inputs: 'with another picture or start noise',
    device: `on ${others.device}`,
    version: `of version ${others.version}`,
    checkpoint: 'with another checkpoint',
  };
  return joined([
    ...differingNames(before, options).map((name) => optionWith(name, before[name])),
    ...differingNames(others, now).map((name) => words[name]),
  ]);
}

function optionWith(name: string, value: unknown): string {
  const option: Option = generateOptions[name as keyof typeof generateOptions] ?? { help: '' };
  const texts = textsOf(value, option);
  const flag = `--${flagOf(name, option)}`;
  if (texts.length === 0) return `without ${flag}`;
  return `with ${texts.map((text) => `${flag} ${text}`.trim()).join(' ')}`;
}
