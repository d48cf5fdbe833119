import { expect } from 'chai';
import { generate } from '../../../src/cli/generate/command.ts';
import { generateOptions } from '../../../src/cli/generate/options.ts';
import { commandOf } from '../../../src/cli/terminal/command.ts';
import { UsageError } from '../../../src/cli/terminal/errors.ts';
import { flagOf } from '../../../src/cli/terminal/options.ts';
import { readGenerateCommand } from './readCommand.ts';

const needed = ['rocket.jpg', '--model', 'svd', '--output', 'out.mp4'];
const read = (...args: string[]) => readGenerateCommand([...needed, ...args]);

describe('readGenerateCommand', () => {
  it("has diffusers' defaults", () => {
    expect(read()).to.deep.equal({
      images: ['rocket.jpg'],
      model: 'svd',
      output: 'out.mp4',
      format: 'mp4',
      config: undefined,
      dump: undefined,
      like: undefined,
      preview: undefined,
      latents: undefined,
      seeds: [],
      height: undefined,
      width: undefined,
      numFrames: undefined,
      numInferenceSteps: 25,
      sigmas: undefined,
      schedule: undefined,
      scheduler: undefined,
      minGuidanceScale: 1,
      maxGuidanceScale: 3,
      fps: 7,
      motionBucketId: 127,
      noiseAugStrength: 0.02,
      guidanceInterval: undefined,
      deepCache: undefined,
      guidanceTogether: undefined,
      decodeChunkSize: undefined,
      numVideosPerPrompt: 1,
      outputType: 'image',
      backend: 'auto',
      threads: undefined,
      dtype: undefined,
      fast: false,
      tf32: false,
      offload: undefined,
      memory: undefined,
      noResume: false,
      weightDtype: 'auto',
      formulation: 'fastest',
      unet: undefined,
      variant: undefined,
      lora: [],
      revision: undefined,
      token: undefined,
      cacheDir: undefined,
      localFilesOnly: undefined,
      forwardChunking: undefined,
      quality: 80,
      encoder: 'auto',
      json: false,
      profile: false,
      quiet: false,
    });
  });

  const values: Record<string, [given: string[], name: string, value: unknown]> = {
    quality: [['1'], 'quality', 1],
    encoder: [['ffmpeg'], 'encoder', 'ffmpeg'],
    height: [['320'], 'height', 320],
    width: [['8'], 'width', 8],
    'num-frames': [['14'], 'numFrames', 14],
    'num-inference-steps': [['1'], 'numInferenceSteps', 1],
    sigmas: [['700,54.5,1e-2,0'], 'sigmas', [700, 54.5, 0.01, 0]],
    scheduler: [['dpmpp-2m'], 'scheduler', 'dpmpp-2m'],
    schedule: [['ays'], 'schedule', 'ays'],
    'min-guidance-scale': [['1.5'], 'minGuidanceScale', 1.5],
    'max-guidance-scale': [['0'], 'maxGuidanceScale', 0],
    fps: [['30'], 'fps', 30],
    'motion-bucket-id': [['0'], 'motionBucketId', 0],
    'noise-aug-strength': [['.1'], 'noiseAugStrength', 0.1],
    'guidance-together': [['no'], 'guidanceTogether', false],
    'guidance-interval': [['.5,50'], 'guidanceInterval', [0.5, 50]],
    'deep-cache': [['3:0'], 'deepCache', { interval: 3, branch: 0 }],
    'decode-chunk-size': [['4'], 'decodeChunkSize', 4],
    'num-videos-per-prompt': [['2'], 'numVideosPerPrompt', 2],
    'output-type': [['array'], 'outputType', 'array'],
    seed: [
      ['0', '9007199254740991', '-1', '18446744073709551615', '-9223372036854775808'],
      'seeds',
      [0, 9007199254740991, -1, '18446744073709551615', '-9223372036854775808'],
    ],
    latents: [['noise.safetensors'], 'latents', 'noise.safetensors'],
    dump: [['stages.safetensors'], 'dump', 'stages.safetensors'],
    config: [['configs'], 'config', 'configs'],
    unet: [['org/name/lcm.safetensors'], 'unet', 'org/name/lcm.safetensors'],
    lora: [
      ['a.safetensors', 'org/name/b.safetensors=-0.5', 'a=b.safetensors', 'c.safetensors=1e-2'],
      'lora',
      ['a.safetensors', 'org/name/b.safetensors=-0.5', 'a=b.safetensors', 'c.safetensors=1e-2'],
    ],
    variant: [['fp16'], 'variant', 'fp16'],
    revision: [['v2'], 'revision', 'v2'],
    token: [['hf_x'], 'token', 'hf_x'],
    'cache-dir': [['cache'], 'cacheDir', 'cache'],
    backend: [['wasm'], 'backend', 'wasm'],
    threads: [['2'], 'threads', 2],
    dtype: [['bfloat16'], 'dtype', 'bfloat16'],
    offload: [['sequential'], 'offload', 'sequential'],
    memory: [['1.5'], 'memory', 1.5 * 2 ** 30],
    'weight-dtype': [['float32'], 'weightDtype', 'float32'],
    formulation: [['plain'], 'formulation', 'plain'],
    'forward-chunking': [['64'], 'forwardChunking', 64],
  };
  for (const [option, [given, name, value]] of Object.entries(values)) {
    it(`reads --${option}`, () => {
      const command = read(...given.flatMap((text) => [`--${option}`, text]));
      expect(command[name as keyof typeof command]).to.deep.equal(value);
    });
  }

  it('reads the switches', () => {
    expect(read('--json', '--fast', '--profile', '--quiet', '--tf32', '--no-resume')).to.include({
      json: true,
      fast: true,
      profile: true,
      quiet: true,
      tf32: true,
      noResume: true,
    });
    expect(read()).to.include({ noResume: false });
    expect(read('--local-files-only')).to.include({ localFilesOnly: true });
    const command = ['rocket.jpg', '--output', 'out', '--format', 'png'];
    expect(readGenerateCommand(command)).to.include({ output: 'out', format: 'png' });
  });

  it('has no option without a test here', () => {
    expect([
      ...Object.keys(values),
      'model',
      'output',
      'like',
      'preview',
      'format',
      'local-files-only',
      'fast',
      'no-resume',
      'json',
      'profile',
      'quiet',
      'tf32',
    ]).to.have.members(
      Object.entries(generateOptions).map(([name, option]) => flagOf(name, option)),
    );
  });

  const nonNumbers = ['abc', 'NaN', 'Infinity', '1e999', '0x40', '7 px'];
  const bad: Record<string, [values: string[], allowed: string]> = {
    quality: [[...nonNumbers, '0', '101', '80.5'], 'a whole number from 1 to 100'],
    encoder: [['x264', 'FFMPEG'], 'one of auto, builtin, ffmpeg'],
    height: [
      [...nonNumbers, '0', '-8', '570', '64.5', '8200'],
      'a whole number from 8 to 8192 and divisible by 8',
    ],
    width: [
      [...nonNumbers, '0', '-8', '1020', '64.5', '8200'],
      'a whole number from 8 to 8192 and divisible by 8',
    ],
    'num-frames': [[...nonNumbers, '0', '-1', '2.5'], 'a whole number of 1 or more'],
    'num-inference-steps': [
      [...nonNumbers, '0', '-1', '2.5', '1e9'],
      'a whole number from 1 to 100000',
    ],
    sigmas: [
      ['700,x,0', '700,,0', '700', '700,NaN', '1,-1'],
      'at least 2 numbers of 0 or more, separated by commas,',
    ],
    'guidance-interval': [
      ['1', '1,2,3', '-1,2', '50,1', '1,x', '1,', '0,Infinity'],
      'two numbers of 0 or more, the lower one first,',
    ],
    'deep-cache': [
      [...nonNumbers, '0', '-1', '2.5', '2:', ':1', '2:-1', '2:1.5', '2:1:0', '2,1'],
      'INTERVAL or INTERVAL:BRANCH, whole numbers from 1 and from 0 on,',
    ],
    'min-guidance-scale': [[...nonNumbers, '-1'], 'a number of 0 or more'],
    'max-guidance-scale': [[...nonNumbers, '-1'], 'a number of 0 or more'],
    fps: [[...nonNumbers, '0', '-7', '7.5', '241'], 'a whole number from 1 to 240'],
    'motion-bucket-id': [[...nonNumbers, '-1', '0.5'], 'a whole number of 0 or more'],
    'noise-aug-strength': [[...nonNumbers, '-0.02'], 'a number of 0 or more'],
    'decode-chunk-size': [[...nonNumbers, '0', '-1', '2.5'], 'a whole number of 1 or more'],
    'num-videos-per-prompt': [
      [...nonNumbers, '0', '-1', '2.5', '1e9'],
      'a whole number from 1 to 1000',
    ],
    seed: [
      [...nonNumbers, '0.5', '18446744073709551616', '-9223372036854775809'],
      'a whole number from -2^63 to 2^64 - 1',
    ],
    threads: [[...nonNumbers, '0', '-1', '2.5', '9'], 'a whole number from 1 to 8'],
    'forward-chunking': [[...nonNumbers, '0', '-1', '2.5'], 'a whole number of 1 or more'],
    backend: [['gpu', ''], 'one of auto, cuda, tensorflow, webgpu, wasm, cpu'],
    dtype: [['float64'], 'one of float32, float16, bfloat16'],
    offload: [['disk'], 'one of none, model, sequential'],
    memory: [['0'], 'a number of 0.1 or more, in GiB,'],
    'weight-dtype': [['float16'], 'one of auto, float32'],
    formulation: [['slow'], 'one of fastest, gpu, plain'],
    'output-type': [['pil', 'IMAGE'], 'one of image, array, tensor, latent'],
  };
  for (const [option, [texts, allowed]] of Object.entries(bad)) {
    it(`refuses bad values of --${option}`, () => {
      for (const text of texts) {
        const expected =
          text === '' ? 'needs a value' : `--${option} has to be ${allowed} but is "${text}".`;
        expect(() => read(`--${option}`, text), text).to.throw(UsageError, expected);
      }
    });
  }

  it('refuses noise levels that no sampler follows, and a preview that is no PNG', () => {
    for (const [levels, message] of [
      ['1,2,0', '--sigmas has to descend, but 2 comes after 1.'],
      ['700,699.99999,0', '--sigmas has to descend, but 699.99999 comes after 700.'],
      [
        '7,0,0',
        '--sigmas have to be above 0, but for the last, and at most 1000000, but are [7, 0, 0].',
      ],
      [
        '2e6,0',
        '--sigmas have to be above 0, but for the last, and at most 1000000, but are [2000000, 0].',
      ],
    ])
      expect(() => readGenerateCommand(['a.png', '--sigmas', levels!])).to.throw(
        UsageError,
        message,
      );
    expect(() => read('--preview=p.jpg')).to.throw(
      '--preview has to end with .png but is "p.jpg".',
    );
  });

  it('takes the branch of DeepCache that is usual', () => {
    expect(read('--deep-cache', '2').deepCache).to.deep.equal({ interval: 2, branch: 1 });
  });

  it('says how to correct a size and a mistyped name', () => {
    expect(() => read('--height', '570')).to.throw('Try 568.');
    expect(() => read('--backend', 'wsam')).to.throw('Did you mean wasm?');
  });

  it('refuses an encoder for what it does not encode', () => {
    for (const ending of ['.gif', '.webp', '/', '.safetensors'])
      for (const encoder of ['builtin', 'ffmpeg']) {
        const output = ['a.png', '--output', `o${ending}`, '--encoder'];
        expect(() => readGenerateCommand([...output, encoder])).to.throw(
          UsageError,
          new RegExp(`--encoder ${encoder} is for \\.mp4 and \\.webm but the format is \\w+\\.`),
        );
        expect(readGenerateCommand([...output, 'auto']).encoder).to.equal('auto');
      }
  });

  it('takes other names of options and values, or says what to write', () => {
    expect(read('--steps', '4', '--frames', '2')).to.include({
      numInferenceSteps: 4,
      numFrames: 2,
    });
    expect(() => read('--steps', '4', '--num-inference-steps', '4')).to.throw('is given twice');
    expect(() => read('--steps')).to.throw('--num-inference-steps needs a value');
    expect(readGenerateCommand(['a.png', '-m', 'svd', '-o', 'a.mp4'])).to.include({ model: 'svd' });
    for (const [given, dtype] of Object.entries({ fp16: 'float16', bf16: 'bfloat16' }))
      expect(read('--dtype', given)).to.include({ dtype });
    expect(read('--backend', 'cuda', '--dtype', 'fp16')).to.include({ backend: 'cuda' });
    expect(() => read('--backend', 'gpu')).to.throw(
      UsageError,
      'but is "gpu". Use cuda for an NVIDIA card, webgpu for another one.',
    );
    const refuse = (...args: string[]) => {
      const command = commandOf({ ...generate, run: async () => 0 }, () => {});
      return expect(() => command.parse(args, { from: 'user' })).to.throw(UsageError);
    };
    refuse('--device', 'cuda').with.property('message').that.contains('Use --backend: cuda for');
    refuse('--prompt=a').with.property('message').that.contains('a picture and no text');
  });

  it('knows samplers by their other names, and refuses those that do not fit', () => {
    expect(read('--scheduler', 'DPM++ 2M').scheduler).to.equal('dpmpp-2m');
    expect(read('--scheduler', 'EDMEulerScheduler').scheduler).to.equal('edm-euler');
    const names = 'euler, edm-euler, dpmpp-2m, dpmpp-2m-sde, animatelcm';
    const wrong: [args: string[], message: string][] = [
      [
        ['--scheduler', 'UniPCMultistepScheduler'],
        `--scheduler has to be one of ${names} but is "UniPCMultistepScheduler". It knows no ` +
          'continuous timesteps, which Stable Video Diffusion needs.',
      ],
      [['--scheduler', 'animate'], `--scheduler has to be one of ${names} but is "animate".`],
      [['--schedule', 'karras'], '--schedule has to be one of ays but is "karras".'],
      [
        ['--schedule', 'ays', '--sigmas', '1,0'],
        '--sigmas and --schedule are two schedules: pass one of them.',
      ],
      [
        ['--scheduler', 'animatelcm', '--steps', '41'],
        '--num-inference-steps has to be at most 40 with --scheduler animatelcm but is 41. Usual',
      ],
      ...['--sigmas=1,0', '--schedule=ays'].map((option): [string[], string] => [
        ['--scheduler', 'animatelcm', ...option.split('=')],
        `${option.split('=')[0]} is not for --scheduler animatelcm, whose model knows the noise`,
      ]),
    ];
    for (const [args, message] of wrong)
      expect(() => read(...args), message).to.throw(UsageError, message);
    expect(read('--scheduler', 'animatelcm', '--steps', '40').numInferenceSteps).to.equal(40);
  });

  it('refuses files of the wrong kind', () => {
    expect(() => read('--dump', 'stages.npz')).to.throw(
      UsageError,
      '--dump has to end with .safetensors but is "stages.npz".',
    );
    expect(() => read('--latents', 'noise.pt')).to.throw(
      UsageError,
      '--latents has to end with .safetensors but is "noise.pt".',
    );
  });

  it('leaves the model and its size to the package where no model is named', () => {
    const { model, height, width } = readGenerateCommand([
      'a.png',
      '--output',
      'out.mp4',
      '--width',
      '96',
    ]);
    expect({ model, height, width }).to.deep.equal({
      model: undefined,
      height: undefined,
      width: 96,
    });
  });

  it('refuses to work without a picture, or to say more about no model', () => {
    expect(() => readGenerateCommand(['a.png', '--revision', 'main'])).to.throw(
      UsageError,
      '--revision says more about a model: add --model.',
    );
    expect(() => readGenerateCommand(['--model', 'svd', '--output', 'out.mp4'])).to.throw(
      UsageError,
      'an IMAGE is required',
    );
  });

  it('refuses options that do not go together', () => {
    expect(() => read('tensors.safetensors')).to.throw(
      UsageError,
      'tensors.safetensors has to be the only IMAGE',
    );
    expect(() => read('--output-type', 'latent')).to.throw(
      UsageError,
      '--output-type latent needs an --output that ends with .safetensors',
    );
    expect(() => read('--threads', '2', '--backend', 'cpu')).to.throw(
      UsageError,
      '--threads is for the wasm backend',
    );
    for (const option of [['--dtype', 'float16'], ['--tf32'], ['--formulation', 'gpu']]) {
      const refusal = `${option.join(' ')} is for the tensorflow backend but --backend is wasm.`;
      expect(() => read('--backend', 'wasm', ...option)).to.throw(UsageError, refusal);
      expect(() => read('--backend', 'tensorflow', ...option)).not.to.throw();
    }
    const same = [
      'a.png',
      '--model',
      'svd',
      '--output',
      'o.safetensors',
      '--dump',
      'o.safetensors',
    ];
    expect(() => readGenerateCommand(same)).to.throw(
      UsageError,
      '--dump and --output have to be two files',
    );
  });
});
