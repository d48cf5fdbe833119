/**
 * The options of `svd generate`. A new one is one entry of this table: parsing, types, help,
 * completion, the settings stored in the output and the call of the library follow from it.
 */
import { backendChoices, maxThreads } from '../../backends/types.ts';
import { DEFAULT_QUALITY, videoEncoders } from '../../media/video/encodingOptions.ts';
import { type OutputFormat, outputEndings, outputFormats } from '../../media/video/output.ts';
import { offloadModes } from '../../memory/offloadModes.ts';
import { computeDtypes, formulationSets } from '../../ops/choices.ts';
import { callDefaults, callLimits, outputTypes } from '../../pipelines/defaults.ts';
import { either } from '../../text/messages.ts';
import { modelOptions } from '../hubModel.ts';
import { jsonOption, quietOption } from '../terminal/command.ts';
import { group, type PartOf, type Values } from '../terminal/options.ts';
import {
  fileEnding,
  type Reader,
  realNumber,
  realNumbers,
  seed,
  tensorFile,
  wholeNumber,
} from '../terminal/values.ts';
import { resumeOptions } from './resume/options.ts';
import { speedOptions } from './speed/options.ts';

const count = { value: 'N', read: wholeNumber({ min: 1 }) } as const;
const countUpTo = (max: number) => ({ value: 'N', read: wholeNumber({ min: 1, max }) }) as const;
const pixels = { value: 'N', read: wholeNumber({ min: 8, max: 8192, multipleOf: 8 }) } as const;
const amount = { value: 'X', read: realNumber({ min: 0 }) } as const;
const tensors = { value: 'FILE', files: ['.safetensors'], read: tensorFile } as const;
const gibibytes: Reader<number> = (text, flag) =>
  Math.round(realNumber({ min: 0.1, unit: 'GiB' })(text, flag) * 2 ** 30);

const { model, ...whichModel } = modelOptions;
const GPU = 'Use cuda for an NVIDIA card, webgpu for another one.';
const sizeDefault = (side: number) =>
  `Default: ${side}, or that of a smaller model, such as 64 without --model.`;

/**
 * Every option of `svd generate`, each with the part that it is for:
 *
 * - `call`: an argument of `generate`;
 * - `checkpoint`: which checkpoint it is;
 * - `loading`: an option of `fromPretrained`, or what else decides how the video is computed;
 * - `writing`: how the video becomes bytes;
 * - `machine`: where files and memory come from, which changes nothing of the video;
 * - `report`: what is written and shown;
 * - `choice`: what stands for other options.
 *
 * The first four are stored in the output. Names and defaults are those of diffusers' call.
 */
export const generateOptions = {
  model: {
    ...model,
    help: `${model.help} Default: the small one of this package.`,
  },
  ...group('Files', 'report', {
    output: {
      value: 'FILE',
      short: 'o',
      files: outputEndings,
      help:
        'The file to write: .mp4, .webm, .webp, .gif, a folder for PNG pictures (ends with /), or ' +
        '.safetensors with the float32 tensors frames [B,F,H,W,3] in [0,1] and latents ' +
        '[B,F,4,h,w]. Several videos get -0, -1, ... before the ending, except in .safetensors. ' +
        '- is standard output. Default: the name of the picture with .mp4, in this folder, and ' +
        'with a number where that exists.',
    },
    like: {
      value: 'FILE',
      files: outputEndings,
      help:
        'Repeat the settings that this output of svd generate stores, and its pictures if there ' +
        'is no IMAGE. Other options go before them.',
    },
    format: {
      choices: outputFormats,
      help:
        `What to write: ${either(outputFormats)}; png are pictures in a folder. Default: by the ` +
        'ending of --output; mp4 for - and for devices and pipes without one.',
    },
    preview: {
      value: '[FILE]',
      files: ['.png'],
      alone: 'terminal',
      read: fileEnding('.png', 'terminal'),
      help:
        'Show the middle frame after each step, as small as its latents: in the terminal, or in ' +
        'this .png file, which is written again and again.',
    },
    dump: {
      ...tensors,
      help:
        "Also write the tensors of every stage, in diffusers' axis order, into this " +
        '.safetensors file.',
    },
  }),
  ...group('Files', 'writing', {
    quality: {
      value: 'N',
      read: wholeNumber({ min: 1, max: 100 }),
      default: DEFAULT_QUALITY,
      help:
        'Quality of the picture, {range}, on one scale for all formats: fewer bytes or fewer ' +
        'artefacts. A GIF has 256 colours from the default on. PNG and tensors lose nothing.',
    },
    encoder: {
      choices: videoEncoders,
      default: 'auto',
      help:
        `What encodes .mp4 and .webm: ${either(videoEncoders)}. ffmpeg is the program of that ` +
        'name and makes smaller files; builtin needs nothing and writes .mp4; auto is ffmpeg ' +
        'where there is one.',
    },
  }),
  ...group('Files', 'call', {
    outputType: {
      choices: outputTypes,
      default: callDefaults.outputType,
      help:
        `${either(outputTypes)}. latent leaves out decoding and writes only the latents, into ` +
        '.safetensors; the others mean the same in a file.',
    },
    latents: {
      ...tensors,
      help:
        'A .safetensors file whose tensor latents [B,F,4,h,w] is the start noise, of unit ' +
        'variance. Default: noise drawn by the seed.',
    },
  }),
  ...whichModel,
  ...group('Video', 'call', {
    height: {
      ...pixels,
      help: `Height in pixels, {range}. ${sizeDefault(callDefaults.height)}`,
    },
    width: {
      ...pixels,
      help: `Width in pixels, {range}. ${sizeDefault(callDefaults.width)}`,
    },
    numFrames: {
      aliases: ['frames'],
      ...count,
      help: 'Frames of the video, {range}. Default: as many as the checkpoint was trained on.',
    },
    fps: {
      value: 'N',
      read: wholeNumber({ min: 1, max: 240 }),
      default: callDefaults.fps,
      help:
        'Frames per second, {range}, for .gif 1 to 50: the motion is made for it and the video ' +
        'plays at it.',
    },
    motionBucketId: {
      value: 'N',
      read: wholeNumber({ min: 0 }),
      default: callDefaults.motionBucketId,
      help: 'Amount of motion, {range}; 0 to 255 in training.',
    },
    noiseAugStrength: {
      ...amount,
      default: callDefaults.noiseAugStrength,
      help:
        'Noise added to the picture, as a standard deviation, {range}: more noise, less ' +
        'likeness, more motion.',
    },
    numVideosPerPrompt: {
      ...countUpTo(callLimits.numVideosPerPrompt),
      default: callDefaults.numVideosPerPrompt,
      help: 'Videos per picture, {range}.',
    },
  }),
  ...group('Sampling', 'call', {
    numInferenceSteps: {
      aliases: ['steps'],
      ...countUpTo(callLimits.numInferenceSteps),
      default: callDefaults.numInferenceSteps,
      help: 'Sampling steps, {range}.',
    },
    sigmas: {
      value: 'X,X,...',
      read: realNumbers({ min: 0 }, 2),
      help:
        'Noise levels of your own instead of steps: descending, the terminal level (0) last, ' +
        '{range}.',
    },
    minGuidanceScale: {
      ...amount,
      default: callDefaults.minGuidanceScale,
      help: 'Guidance of the first frame, {range}.',
    },
    maxGuidanceScale: {
      ...amount,
      default: callDefaults.maxGuidanceScale,
      help:
        'Guidance of the last frame, {range}. If both are 1 or less, guidance is off, which ' +
        'halves the work.',
    },
    seeds: {
      flag: 'seed',
      value: 'N',
      many: true,
      read: seed,
      help:
        'Seed of the noise, {range}; the same as torch.Generator().manual_seed(N). Once for ' +
        'all videos, or once per video. Default: a ' +
        'random one, which is printed.',
    },
  }),
  ...speedOptions,
  ...group('Running', 'loading', {
    backend: {
      choices: backendChoices,
      otherValues: {
        ...{ gpu: GPU, nvidia: 'cuda', 'cuda:0': 'cuda', webassembly: 'wasm' },
        ...{ mps: 'webgpu', metal: 'webgpu' },
        ...{ node: 'tensorflow', tfjs: 'Use tensorflow, or cpu for plain JavaScript.' },
      },
      default: 'auto',
      help:
        'auto is the fastest that works; cuda is tensorflow on an NVIDIA card; cpu is plain ' +
        'JavaScript and very slow.',
    },
    threads: {
      value: 'N',
      read: wholeNumber({ min: 1, max: maxThreads }),
      help: 'Threads of the wasm backend, {range}. Default: the number of cores.',
    },
    dtype: {
      choices: computeDtypes,
      otherValues: {
        ...{ fp32: 'float32', fp16: 'float16', half: 'float16', bf16: 'bfloat16' },
      },
      help:
        'Type that products and convolutions compute in, whatever the files hold. ' +
        'float16 (fp16) and bfloat16 (bf16) need the tensorflow backend. Everything else is ' +
        'float32. On processors with avx512_bf16 or amx_bf16, bfloat16 takes about half the ' +
        'time; `svd backends` says what each type gains on this one. Default: float32.',
    },
    tf32: {
      help:
        'Let an NVIDIA card round the inputs of float32 products to TensorFloat-32: faster and ' +
        'less exact.',
    },
    offload: {
      choices: offloadModes,
      otherValues: { cpu: 'Use model.', auto: 'Leave it out.' },
      help:
        'none keeps all weights in memory; model reads those of a model before its part of the ' +
        'work and frees them after it; sequential reads those of each block while the one ' +
        'before it computes. Default: none where it fits.',
    },
    weightDtype: {
      choices: ['auto', 'float32'],
      default: 'auto',
      help:
        'Weights in memory: auto leaves those of an F16 or BF16 checkpoint in half precision on ' +
        'the tensorflow and webgpu backends, half the memory with the same results, and rounds ' +
        'those of layers that compute in half precision to it where --dtype saves time; float32 ' +
        'widens them once, about 1 % faster.',
    },
    formulation: {
      choices: formulationSets,
      default: 'fastest',
      help:
        'fastest runs each operation in the form that is fastest on its device; plain runs the ' +
        'plain form of all, for comparisons; gpu runs on a processor, with the tensorflow ' +
        'backend, the forms for a graphics card.',
    },
    forwardChunking: {
      ...count,
      help:
        'Let the feed-forward layers work on N frames at a time, a divisor of the frames: less ' +
        'memory, same result. Default: all where they fit.',
    },
  }),
  ...group('Running', 'call', {
    guidanceTogether: {
      choices: ['yes', 'no'],
      read: (text) => text === 'yes',
      help:
        'yes runs both halves of guidance through the UNet as one batch; no runs one after the ' +
        'other, which takes less memory and longer. Default: yes where it fits.',
    },
    decodeChunkSize: {
      ...count,
      help:
        'Frames decoded together, {range}. Fewer take less memory and may flicker at the ' +
        'seams. Default: as many as fit.',
    },
  }),
  ...group('Running', 'machine', {
    memory: {
      value: 'SIZE',
      read: gibibytes,
      help:
        'Memory that the process may use, in GiB. A call that does not fit is refused before ' +
        'the work. Default: all that the machine has free.',
    },
  }),
  ...resumeOptions,
  ...group('Reporting', 'report', {
    ...jsonOption(': files, settings, backend, seconds per stage, peak memory'),
    profile: {
      help:
        'Print the time that each block of the models took to standard error, and with --json ' +
        'into the line as well.',
    },
    ...quietOption,
  }),
};

/** Options that other programs have, with what to write instead. */
export const otherNames: Record<string, string> = {
  device: `Use --backend: cuda for an NVIDIA card, tensorflow for the processor, wasm anywhere.`,
  gpu: 'Use --backend cuda for an NVIDIA card, --backend webgpu for another one.',
  cuda: 'Use --backend cuda.',
  image: 'The picture is an argument: svd generate IMAGE.',
  input: 'The picture is an argument: svd generate IMAGE.',
  prompt: 'The model takes a picture and no text.',
  'guidance-scale':
    'Use --max-guidance-scale for the last frame and --min-guidance-scale for the first.',
  cfg: 'Use --max-guidance-scale for the last frame and --min-guidance-scale for the first.',
  size: 'Use --width and --height.',
  resolution: 'Use --width and --height.',
  fp16: 'Use --variant fp16 for the files of half the size, --dtype float16 for the arithmetic.',
  precision: 'Use --dtype.',
  duration: 'Use --num-frames and --fps.',
  resume: 'Run the same command again: it goes on where a long call was stopped.',
};

/**
 * A call of `svd generate`. Options that were not passed are undefined where the checkpoint or
 * chance decides.
 */
export type GenerateCommand = Values<typeof generateOptions> & {
  /** Paths or URLs of pictures, `-` for standard input, or one `.safetensors` file. */
  images: string[];
  output: string;
  /** What `output` is written as. */
  format: OutputFormat;
};

/** The parts that decide what the video is. */
export const storedParts = ['call', 'checkpoint', 'loading', 'writing'] as const;

/** The options that are stored in the output. */
export type StoredOptions = PartOf<typeof generateOptions, (typeof storedParts)[number]>;
