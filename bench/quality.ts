/** `npm run bench -- --quality`: what each shortcut of sampling saves, and what it changes. */
import { join } from 'node:path';
import { modelConfig } from '../src/checkpoints/configs/schemas.ts';
import { publishedConfigs } from '../src/checkpoints/index.ts';
import {
  type GenerateOptions,
  Generator,
  loadImage,
  type MemoryRequest,
  type ModelConfigs,
  packagedModel,
  planMemory,
  type RgbImage,
  StableVideoDiffusionPipeline,
  schedulerByName,
  useBackend,
  type Videos,
} from '../src/index.ts';
import { workOfCall } from '../src/memory/duration.ts';
import type { ComputeDtype } from '../src/ops/index.ts';
import { activeDeepCache } from '../src/pipelines/sampling/deepCache.ts';
import { isWithin } from '../src/schedulers/sigmas.ts';
import { root } from './prepare.ts';
import { markdown } from './table.ts';

const pictures = ['toy-rocket.png', 'toy-comet.png', 'coffee.jpg', 'rocket.jpg'];

/** What all calls are compared with. */
const exact: GenerateOptions = { numInferenceSteps: 25 };
const ays = (numInferenceSteps: number): GenerateOptions => ({
  numInferenceSteps,
  schedule: 'ays',
});
const guided = { guidanceInterval: [0, 50] } satisfies GenerateOptions;

/** A call, and how its pipeline is set up. */
type Call = GenerateOptions & { dtype?: ComputeDtype; scheduler?: 'dpmpp-2m' };

/** The shortcuts by the options of the command. */
const calls: Record<string, Call> = {
  '--steps 20': { numInferenceSteps: 20 },
  '--steps 15': { numInferenceSteps: 15 },
  '--steps 12': { numInferenceSteps: 12 },
  '--steps 10': { numInferenceSteps: 10 },
  '--schedule ays --steps 15': ays(15),
  '--schedule ays --steps 12': ays(12),
  '--schedule ays --steps 10': ays(10),
  '--guidance-interval 0,100': { ...exact, guidanceInterval: [0, 100] },
  '--guidance-interval 0,50': { ...exact, ...guided },
  '--guidance-interval 0,20': { ...exact, guidanceInterval: [0, 20] },
  '--deep-cache 2': { ...exact, deepCache: { interval: 2 } },
  '--deep-cache 3': { ...exact, deepCache: { interval: 3 } },
  '--deep-cache 2:0': { ...exact, deepCache: { interval: 2, branch: 0 } },
  '--scheduler dpmpp-2m': { ...exact, scheduler: 'dpmpp-2m' },
  '--scheduler dpmpp-2m --schedule ays --steps 12': { ...ays(12), scheduler: 'dpmpp-2m' },
  '--dtype bfloat16': { ...exact, dtype: 'bfloat16' },
  '--schedule ays --steps 12 --guidance-interval 0,50': { ...ays(12), ...guided },
  '--fast --dtype float32': { ...ays(12), ...guided, deepCache: { interval: 2 } },
  '--fast --dtype bfloat16': {
    ...{ ...ays(12), ...guided },
    ...{ deepCache: { interval: 2 }, dtype: 'bfloat16' },
  },
};

/** The names of the calls: their options without dashes, such as `deep-cache-2`. */
const nameOf = (options: string) => options.replace(/^--/, '').replace(/[ ,:]+(--)?/g, '-');
export const shortcuts = Object.keys(calls).map(nameOf);

const { unet, vae, image_encoder: imageEncoder } = publishedConfigs(25).configs;
const published = {
  unet: modelConfig('unet', unet),
  vae: modelConfig('vae', vae),
  imageEncoder: modelConfig('image_encoder', imageEncoder),
} as ModelConfigs;

const fullSize: MemoryRequest = {
  ...{ device: 'tensorflow-cpu', height: 576, width: 1024, numFrames: 25 },
  ...{ pictures: 1, videos: 1, guided: true, decoded: true },
};

/** Multiply-adds of the sampling steps at full size, of a call that has run. */
function workAtFullSize({ deepCache, guidanceInterval }: Call, sigmas: Float32Array): number {
  const cached = activeDeepCache(deepCache);
  const plan = planMemory(published, { ...fullSize, deepCacheBranch: cached?.branch });
  const steps = sigmas.length - 1;
  const guidedSteps = sigmas.slice(0, -1).filter((sigma) => isWithin(sigma, guidanceInterval));
  const { sampling } = workOfCall(plan, fullSize, steps, cached?.interval);
  return (sampling * (1 + guidedSteps.length / steps)) / 2;
}

/** Peak signal-to-noise ratio of frames with values from 0 to 1, in decibels. */
function psnr(values: Float32Array, expected: Float32Array): number {
  const squares = values.reduce((sum, value, i) => sum + (value - expected[i]) ** 2, 0);
  return -10 * Math.log10(squares / values.length);
}

interface Made {
  frames: Float32Array;
  sigmas: Float32Array;
}

/** Makes a video of 8 frames of 64x64. */
async function make(
  pipe: StableVideoDiffusionPipeline,
  image: RgbImage,
  seed: number,
  { dtype, scheduler, ...options }: Call,
): Promise<Made> {
  const usual = pipe.scheduler;
  if (scheduler) pipe.scheduler = schedulerByName(scheduler);
  const { frames } = (await pipe.generate(image, {
    ...options,
    ...{ height: 64, width: 64, generator: new Generator(seed) },
    outputType: 'array',
  })) as Videos<'array'>;
  const { sigmas } = pipe.scheduler;
  pipe.scheduler = usual;
  return { frames: frames.data, sigmas };
}

const mean = (numbers: number[]) => numbers.reduce((a, b) => a + b, 0) / numbers.length;

/**
 * Compares shortcuts with 25 plain steps, on four pictures with a seed each, and prints a table.
 * @param write Receives the rows after each call.
 */
export async function quality(names: string[], write: (rows: object[]) => void): Promise<void> {
  const { name: backend } = await useBackend('auto');
  const images = await Promise.all(
    pictures.map((name) => loadImage(join(root, 'examples/pictures', name))),
  );
  const load = (dtype: ComputeDtype) =>
    StableVideoDiffusionPipeline.fromPretrained(packagedModel, { dtype });
  const pipes = new Map([['float32', await load('float32')]]);
  const inAll = async (call: Call) => {
    const { dtype = 'float32' } = call;
    if (!pipes.has(dtype)) pipes.set(dtype, await load(dtype));
    const made: Made[] = [];
    for (const [seed, image] of images.entries())
      made.push(await make(pipes.get(dtype)!, image, seed, call));
    return made;
  };
  const plain = await inAll(exact);
  const rows: object[] = [];
  const lines: string[][] = [];
  for (const [options, call] of Object.entries(calls)) {
    if (!names.includes(nameOf(options))) continue;
    if (call.dtype && backend !== 'tensorflow') continue;
    const made = await inAll(call);
    const decibels = made.map(({ frames }, i) => psnr(frames, plain[i].frames));
    const row = {
      options,
      psnr: mean(decibels),
      worst_psnr: Math.min(...decibels),
      full_size_work: workAtFullSize(call, made[0].sigmas) / workAtFullSize(exact, plain[0].sigmas),
    };
    rows.push(row);
    write(rows);
    lines.push([
      `\`${options}\``,
      row.psnr.toFixed(1),
      row.worst_psnr.toFixed(1),
      row.full_size_work.toFixed(2),
    ]);
    console.error(lines.at(-1)!.join('  '));
  }
  for (const pipe of pipes.values()) pipe.dispose();
  console.log(markdown(['options', 'PSNR dB', 'worst', 'work at 576x1024'], lines));
}
