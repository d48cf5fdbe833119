/** The options of `svd reference`: the settings of `svd generate` that diffusers has, too. */
import { generateOptions } from '../generate/options.ts';
import { modelOptions, requiredModel } from '../hubModel.ts';
import { quietOption } from '../terminal/command.ts';
import { group, pick, type Values } from '../terminal/options.ts';
import { tensorFile, wholeNumber } from '../terminal/values.ts';

/** Those that dump_reference.py takes as they are. */
export const callOptions = pick(
  generateOptions,
  ...(['height', 'width', 'numFrames', 'fps', 'motionBucketId', 'noiseAugStrength'] as const),
  ...(['numVideosPerPrompt', 'numInferenceSteps', 'sigmas', 'minGuidanceScale'] as const),
  ...(['maxGuidanceScale', 'seeds', 'decodeChunkSize'] as const),
);

export const referenceOptions = {
  model: {
    ...requiredModel.model,
    help:
      'The checkpoint: a folder in diffusers format, or the name org/name or the address of a ' +
      'model of the hub.',
  },
  ...group('Files', 'reference', {
    output: {
      value: 'FILE',
      short: 'o',
      files: ['.safetensors'],
      read: tensorFile,
      required: 'the reference to write',
      help: 'The reference to write, a .safetensors file.',
    },
  }),
  ...pick(
    modelOptions,
    'unet',
    'lora',
    'variant',
    'revision',
    'cacheDir',
    'token',
    'localFilesOnly',
  ),
  ...callOptions,
  ...pick(generateOptions, 'scheduler', 'schedule'),
  height: { ...callOptions.height, help: 'Height in pixels, a multiple of 8. Default: 576.' },
  width: { ...callOptions.width, help: 'Width in pixels, a multiple of 8. Default: 1024.' },
  seeds: {
    ...callOptions.seeds,
    help: 'Seed of the noise. Once for all videos, or once per video. Default: 0.',
  },
  decodeChunkSize: {
    ...callOptions.decodeChunkSize,
    help: 'Frames decoded together. Default: all, which takes the most memory.',
  },
  ...group('Reference', 'reference', {
    blocks: {
      help:
        'Also store the output of every block of the VAE, and of the UNet in one step, so that ' +
        'svd verify can name the block that differs.',
    },
    blockStep: {
      value: 'N',
      read: wholeNumber({ min: 0 }),
      help: 'The step of --blocks. Default: 0, the first.',
    },
  }),
  ...group('Running', 'running', {
    python: {
      value: 'FILE',
      files: [''],
      help:
        'The Python to use, with libraries of your own. Default: one in an environment that is ' +
        'made for it.',
    },
    device: {
      value: 'NAME',
      default: 'cpu',
      help:
        'Where diffusers computes; cuda needs --python with a torch that has it. Random numbers ' +
        'come from the processor.',
    },
  }),
  ...group('Reporting', 'report', quietOption),
};

/** A call of `svd reference`. */
export type ReferenceCommand = Values<typeof referenceOptions> & {
  /** Paths or URLs of pictures. */
  images: string[];
};
