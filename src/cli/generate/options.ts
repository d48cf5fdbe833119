/**
 * The options of `svd generate`: their help and how they are read. Names and defaults are those of
 * diffusers' pipeline call.
 */

import { type OutputFormat, outputFormat } from '../../media/output.ts';
import { messageOf } from '../../text/messages.ts';
import {
  configOption,
  type HubCommand,
  hubOptions,
  offlineOption,
  readHubCommand,
} from '../hubModel.ts';
import { type Options, readArguments } from '../terminal/arguments.ts';
import { UsageError } from '../terminal/errors.ts';
import type { HelpText } from '../terminal/help.ts';
import { oneOf, type Range, realNumber, realNumbers, wholeNumber } from '../terminal/values.ts';

const backends = ['auto', 'tensorflow', 'webgpu', 'wasm', 'cpu'] as const;
const dtypes = ['float32', 'float16', 'bfloat16'] as const;
const offloads = ['none', 'model', 'sequential'] as const;
const weightDtypes = ['auto', 'float32'] as const;
const formulations = ['fastest', 'gpu', 'plain'] as const;
const outputTypes = ['image', 'array', 'tensor', 'latent'] as const;

/**
 * What `svd generate` was told to do. Options that were not given are undefined where the
 * checkpoint or chance decides.
 */
export interface GenerateCommand extends HubCommand {
  /** Paths or URLs of pictures, or one `.safetensors` file. */
  images: string[];
  /** None: the checkpoint that comes with the package. */
  model?: string;
  /** Folder of the configs of an original file. */
  config?: string;
  output: string;
  /** File for the tensors of every stage. */
  dump?: string;
  /** File with the start noise. */
  latents?: string;
  /** None: a random one; one for the batch; or one per video. */
  seeds: number[];
  /** Pixels; none: what the checkpoint of the package was trained for. */
  height?: number;
  width?: number;
  numFrames?: number;
  numInferenceSteps: number;
  sigmas?: number[];
  minGuidanceScale: number;
  maxGuidanceScale: number;
  fps: number;
  motionBucketId: number;
  noiseAugStrength: number;
  guidanceTogether?: boolean;
  decodeChunkSize?: number;
  numVideosPerPrompt: number;
  outputType: (typeof outputTypes)[number];
  backend: (typeof backends)[number];
  threads?: number;
  dtype: (typeof dtypes)[number];
  tf32: boolean;
  /** None: by the memory there is. */
  offload?: (typeof offloads)[number];
  /** Bytes that the process may take. */
  memory?: number;
  weightDtype: (typeof weightDtypes)[number];
  formulation: (typeof formulations)[number];
  forwardChunking?: number;
  json: boolean;
  profile: boolean;
  quiet: boolean;
}

const files: Options = {
  model: {
    value: 'DIR',
    help: 'Folder of the checkpoint in diffusers format, with its model_index.json, or of TensorFlow.js artifacts; an original file, such as svd_xt.safetensors; or its name org/name on the hub. svd generate takes the small one of this package if it is not given; the other commands need it.',
  },
  output: {
    value: 'FILE',
    short: 'o',
    help: 'What to write: .mp4, .webp, .gif, a folder for PNG pictures (ends with /), or .safetensors with the float32 tensors frames [B,F,H,W,3] in [0,1] and latents [B,F,4,h,w]. Several videos get -0, -1, ... before the ending, except in .safetensors. Required.',
  },
  'output-type': {
    value: 'TYPE',
    help: 'image, array, tensor or latent. latent leaves out decoding and writes the latents alone, into .safetensors; the others mean the same in a file. Default: image.',
  },
  latents: {
    value: 'FILE',
    help: 'A .safetensors file whose tensor latents [B,F,4,h,w] is the start noise, of unit variance. Default: noise drawn by the seed.',
  },
  dump: {
    value: 'FILE',
    help: "Also write the tensors of every stage, in diffusers' axis order, into this .safetensors file.",
  },
  variant: {
    value: 'NAME',
    help: 'Read the weight files of this variant, such as fp16. Default: those without one.',
  },
  ...configOption,
  ...hubOptions,
  ...offlineOption,
};

const video: Options = {
  height: {
    value: 'N',
    help: 'Height in pixels, 8 to 8192, divisible by 8. Default: 576; 64 without --model.',
  },
  width: {
    value: 'N',
    help: 'Width in pixels, 8 to 8192, divisible by 8. Default: 1024; 64 without --model.',
  },
  'num-frames': {
    value: 'N',
    help: 'Frames of the video, 1 or more. Default: what the checkpoint was trained on.',
  },
  fps: {
    value: 'N',
    help: 'Frames per second, 1 to 240, for .gif 1 to 50: the motion is made for it and the video plays at it. Default: 7.',
  },
  'motion-bucket-id': {
    value: 'N',
    help: 'Amount of motion, 0 or more; 0 to 255 in training. Default: 127.',
  },
  'noise-aug-strength': {
    value: 'X',
    help: 'Noise added to the picture, as a standard deviation, 0 or more: more noise, less likeness, more motion. Default: 0.02.',
  },
  'num-videos-per-prompt': { value: 'N', help: 'Videos per picture, 1 or more. Default: 1.' },
};

const sampling: Options = {
  'num-inference-steps': { value: 'N', help: 'Sampling steps, 1 or more. Default: 25.' },
  sigmas: {
    value: 'X,X,...',
    help: 'Noise levels of your own instead of steps: descending, the terminal level (0) last, 2 or more.',
  },
  'min-guidance-scale': { value: 'X', help: 'Guidance of the first frame, 0 or more. Default: 1.' },
  'max-guidance-scale': {
    value: 'X',
    help: 'Guidance of the last frame, 0 or more. If both are 1 or less, guidance is off and the work is half. Default: 3.',
  },
  seed: {
    value: 'N',
    many: true,
    help: 'Seed of the noise, 0 to 9007199254740991; the same as torch.Generator().manual_seed(N). Once for all videos, or once per video. Default: a random one, which is printed.',
  },
};

const running: Options = {
  backend: {
    value: 'NAME',
    help: 'auto, tensorflow, webgpu, wasm or cpu. Default: auto, the fastest that works.',
  },
  threads: {
    value: 'N',
    help: 'Threads of the wasm backend, 1 to 8. Default: the number of cores.',
  },
  dtype: {
    value: 'TYPE',
    help: 'What products and convolutions compute in, whatever the files hold: float32, or on the tensorflow backend float16 or bfloat16. All else is float32. Default: float32.',
  },
  tf32: {
    help: 'Let an NVIDIA card round the inputs of float32 products to TensorFloat-32: faster and less exact.',
  },
  offload: {
    value: 'WHAT',
    help: 'none keeps all weights in memory; model reads those of a model before its part of the work and frees them after it; sequential reads those of each block while the one before it computes. Default: none where it fits.',
  },
  'weight-dtype': {
    value: 'TYPE',
    help: 'Weights in memory: auto leaves those of an F16 or BF16 checkpoint in half precision on the tensorflow backend, half the memory with the same results; float32 widens them once, about 1 % faster. Default: auto.',
  },
  formulation: {
    value: 'WHICH',
    help: 'fastest lets each operation run as its device is fastest at; plain takes the plain form of all, for comparisons; gpu tries on a processor, with the tensorflow backend, what a graphics card runs. Default: fastest.',
  },
  'guidance-together': {
    value: 'WHETHER',
    help: 'yes gives both halves of guidance to the UNet as one batch; no one after the other, which takes less memory and longer. Default: yes where it fits.',
  },
  'decode-chunk-size': {
    value: 'N',
    help: 'Frames decoded together, 1 or more. Fewer take less memory and may flicker at the seams. Default: as many as fit.',
  },
  'forward-chunking': {
    value: 'N',
    help: 'Let the feed-forward layers work on N frames at a time, a divisor of the frames: less memory, same result. Default: all where they fit.',
  },
  memory: {
    value: 'GIB',
    help: 'Memory to count on, in GiB. What does not fit into it is refused before the work. Default: what the machine has free.',
  },
};

const reporting: Options = {
  json: {
    help: 'Print one line of JSON: files, settings, backend, seconds per stage, peak memory.',
  },
  profile: {
    help: 'Print the time that each block of the models took to standard error, and with --json into the line as well.',
  },
  quiet: { help: 'No progress and no notes on standard error, only errors.' },
  debug: { help: 'Show where an error comes from.' },
  help: { short: 'h', help: 'Show this text.' },
};

/** The help text of `svd generate`. */
export const generateHelp: HelpText = {
  usage: ['svd generate IMAGE... [--model DIR] --output FILE [options]'],
  about: [
    'Makes a video from a picture.',
    'IMAGE is the path or URL of a picture (PNG, JPEG, WebP, ...), or a .safetensors file with a tensor image [N,3,H,W] in [0,1]. Several are animated as one batch.',
  ],
  groups: {
    Files: files,
    Video: video,
    Sampling: sampling,
    Running: running,
    Reporting: reporting,
  },
  examples: [
    'svd generate rocket.jpg --output rocket.mp4',
    'svd generate rocket.jpg --model svd-xt --output rocket.mp4',
    'svd generate rocket.jpg --model svd-xt --output rocket.mp4 --seed 42 \\\n  --height 320 --width 576 --num-frames 14 --decode-chunk-size 4',
    'svd generate a.png b.png --model svd-xt --output clips.gif --seed 1 --seed 2',
    'svd generate rocket.jpg --model svd-xt --output rocket.safetensors \\\n  --dump stages.safetensors --backend tensorflow --json',
  ],
};

/** Every option of `svd generate`. */
export const generateOptions: Options = {
  ...files,
  ...video,
  ...sampling,
  ...running,
  ...reporting,
};

/**
 * Reads the arguments of `svd generate`.
 * @throws UsageError if one is unknown, missing or out of its range.
 */
export function readGenerateCommand(args: string[]): GenerateCommand {
  const given = readArguments(args, generateOptions);
  const whole = (name: string, range: Range) =>
    given.values(name).map((text) => wholeNumber(name, text, range));
  const real = (name: string, range: Range) =>
    given.values(name).map((text) => realNumber(name, text, range));
  const chosen = <T extends string>(name: string, names: readonly T[]) =>
    given.values(name).map((text) => oneOf(name, text, names));
  const pixels = { min: 8, max: 8192, multipleOf: 8 };
  const model = given.value('model');

  const command: GenerateCommand = {
    images: given.positionals,
    model,
    output: outputOf(given.value('output')),
    config: given.value('config'),
    dump: tensorFile('dump', given.value('dump')),
    latents: tensorFile('latents', given.value('latents')),
    seeds: whole('seed', { min: 0, max: Number.MAX_SAFE_INTEGER }),
    height: whole('height', pixels)[0] ?? (model === undefined ? undefined : 576),
    width: whole('width', pixels)[0] ?? (model === undefined ? undefined : 1024),
    numFrames: whole('num-frames', { min: 1 })[0],
    numInferenceSteps: whole('num-inference-steps', { min: 1 })[0] ?? 25,
    sigmas: given.values('sigmas').map((text) => realNumbers('sigmas', text, { min: 0 }, 2))[0],
    minGuidanceScale: real('min-guidance-scale', { min: 0 })[0] ?? 1,
    maxGuidanceScale: real('max-guidance-scale', { min: 0 })[0] ?? 3,
    fps: whole('fps', { min: 1, max: 240 })[0] ?? 7,
    motionBucketId: whole('motion-bucket-id', { min: 0 })[0] ?? 127,
    noiseAugStrength: real('noise-aug-strength', { min: 0 })[0] ?? 0.02,
    guidanceTogether: chosen('guidance-together', ['yes', 'no']).map(
      (answer) => answer === 'yes',
    )[0],
    decodeChunkSize: whole('decode-chunk-size', { min: 1 })[0],
    numVideosPerPrompt: whole('num-videos-per-prompt', { min: 1 })[0] ?? 1,
    outputType: chosen('output-type', outputTypes)[0] ?? 'image',
    backend: chosen('backend', backends)[0] ?? 'auto',
    threads: whole('threads', { min: 1, max: 8 })[0],
    dtype: chosen('dtype', dtypes)[0] ?? 'float32',
    tf32: given.has('tf32'),
    offload: chosen('offload', offloads)[0],
    memory: given.values('memory').map(memoryBytes)[0],
    weightDtype: chosen('weight-dtype', weightDtypes)[0] ?? 'auto',
    formulation: chosen('formulation', formulations)[0] ?? 'fastest',
    ...readHubCommand(given),
    forwardChunking: whole('forward-chunking', { min: 1 })[0],
    json: given.has('json'),
    profile: given.has('profile'),
    quiet: given.has('quiet'),
  };
  checkTogether(command);
  return command;
}

/** The bytes that a value of `--memory` means. @throws UsageError if it is no number of GiB. */
export function memoryBytes(text: string): number {
  return Math.round(realNumber('memory', text, { min: 0.1 }) * 2 ** 30);
}

function outputOf(value: string | undefined): string {
  if (value === undefined)
    throw new UsageError('--output FILE is required: the video to write. See svd generate --help.');
  return value;
}

function tensorFile(name: string, path: string | undefined): string | undefined {
  if (path !== undefined && !path.endsWith('.safetensors'))
    throw new UsageError(`--${name} has to end with .safetensors but is "${path}".`);
  return path;
}

/** Checks what concerns several options at once. */
function checkTogether(command: GenerateCommand): void {
  const { images, output, dump, outputType, fps, backend, threads } = command;
  if (images.length === 0)
    throw new UsageError(
      'an IMAGE is required: a path, a URL or a .safetensors file. See svd generate --help.',
    );
  const tensors = images.find((image) => image.endsWith('.safetensors'));
  if (tensors !== undefined && images.length > 1)
    throw new UsageError(`${tensors} has to be the only IMAGE, for a tensor holds a whole batch.`);
  const format = formatOf(output);
  if (outputType === 'latent' && format !== 'safetensors') {
    throw new UsageError(
      `--output-type latent needs an --output that ends with .safetensors but it is "${output}".`,
    );
  }
  if (format === 'gif' && fps > 50)
    throw new UsageError(`--fps has to be from 1 to 50 for a GIF but is "${fps}".`);
  if (dump === output)
    throw new UsageError(`--dump and --output have to be two files but both are "${output}".`);
  if (threads !== undefined && backend !== 'auto' && backend !== 'wasm') {
    throw new UsageError(`--threads is for the wasm backend but --backend is ${backend}.`);
  }
  if (backend !== 'auto' && backend !== 'tensorflow') {
    const { dtype, tf32, formulation } = command;
    const given =
      (dtype !== 'float32' && `--dtype ${dtype}`) ||
      (tf32 && '--tf32') ||
      (formulation === 'gpu' && '--formulation gpu');
    if (given)
      throw new UsageError(`${given} is for the tensorflow backend but --backend is ${backend}.`);
  }
}

function formatOf(output: string): OutputFormat {
  try {
    return outputFormat(output);
  } catch (error) {
    throw new UsageError(messageOf(error));
  }
}
