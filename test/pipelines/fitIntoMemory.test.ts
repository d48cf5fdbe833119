/** How calls are set up as their memory plan says, and what is left of it behind them. */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { attentionsIn, limitScores } from '../../src/layers/index.ts';
import { MemoryError } from '../../src/memory/errors.ts';
import {
  type GivenSettings,
  MemoryPlanner,
  type MemoryRequest,
  USABLE_SHARE,
} from '../../src/memory/plan.ts';
import { callPlanner } from '../../src/pipelines/callPlanner.ts';
import type { Components } from '../../src/pipelines/components.ts';
import { fitIntoMemory } from '../../src/pipelines/fitIntoMemory.ts';
import { checkCall } from '../../src/pipelines/settings.ts';
import { SamplingPipeline } from '../../src/pipelines/stableVideoDiffusion.ts';
import type { GenerateOptions } from '../../src/pipelines/types.ts';
import { smallConfigs } from '../harness/smallConfigs.ts';
import { picture, tinyPipeline } from '../harness/tiny.ts';

const MiB = 2 ** 20;
const [height, width, numFrames] = [576, 1024, 14];

const facts = {
  numFrames,
  sampleSize: 72,
  scaleFactor: 8,
  latentChannels: 4,
  deepCacheBranches: 3,
};

describe('fitIntoMemory', () => {
  let pipe: SamplingPipeline;
  let planner: MemoryPlanner;

  before(async () => {
    pipe = await tinyPipeline();
    planner = new MemoryPlanner(smallConfigs);
  });
  after(() => pipe.dispose());

  /** A card, where memory is for tensors alone, so that small models feel how much there is. */
  const device = 'webgpu';

  const components = (deviceBytes: number): Components => ({
    ...pipe.components,
    planner: callPlanner(smallConfigs, device, () => ({
      processBytes: 64 * 1024 * MiB,
      deviceBytes,
    })),
  });

  /** The memory that is just enough for a call with these settings. */
  function roomFor(givenSettings: GivenSettings, decoded: boolean): number {
    const request: MemoryRequest = {
      device,
      height,
      width,
      numFrames,
      pictures: 1,
      videos: 1,
      guided: true,
      decoded,
      givenSettings,
    };
    return (planner.plan(request).deviceBytes! + 1) / USABLE_SHARE;
  }

  const fit = (deviceBytes: number, options: GenerateOptions = {}) => {
    const settings = checkCall(picture, { height, width, numFrames, ...options }, facts);
    return fitIntoMemory(components(deviceBytes), settings, options);
  };

  /** What the models are set to, each value once. */
  const state = () => ({
    attentionBytes: [
      ...new Set([pipe.unet, pipe.vae].flatMap(attentionsIn).map(({ scoreBytes }) => scoreBytes)),
    ],
    forwardChunking: pipe.unet.forwardChunking,
  });
  const untouched = { attentionBytes: [undefined], forwardChunking: undefined };

  /** From the fastest to the smallest, as the documentation has them. */
  const ladder: {
    guidanceTogether: boolean;
    attentionBytes: number;
    forwardChunking?: { size: number; dim: 0 };
  }[] = [
    { guidanceTogether: true, attentionBytes: 256 * MiB },
    { guidanceTogether: false, attentionBytes: 256 * MiB },
    { guidanceTogether: false, attentionBytes: 128 * MiB },
    { guidanceTogether: false, attentionBytes: 64 * MiB },
    { guidanceTogether: false, attentionBytes: 64 * MiB, forwardChunking: { size: 7, dim: 0 } },
    { guidanceTogether: false, attentionBytes: 32 * MiB, forwardChunking: { size: 1, dim: 0 } },
  ];

  it('gives up speed step by step, sets the models up so, and undoes it', () => {
    const rooms = ladder.map((settings) => roomFor({ offload: 'none', ...settings }, false));
    const chosen = [];
    for (const [i, room] of rooms.entries()) {
      if (i > 0) expect(room, `step ${i}`).to.be.below(rooms[i - 1]!);
      const fitted = fit(room, { outputType: 'latent' });
      const { settings } = fitted;
      const { attentionBytes, forwardChunking } = state();
      expect(attentionBytes, 'as every attention has it').to.have.lengthOf(1);
      chosen.push({
        guidanceTogether: settings.guidanceTogether,
        attentionBytes: attentionBytes[0],
        ...(forwardChunking && { forwardChunking }),
      });
      fitted[Symbol.dispose]();
      expect(state(), 'behind the call').to.deep.equal(untouched);
    }
    expect(chosen).to.deep.equal(ladder);
  });

  it('decodes fewer frames together only as far as it has to', () => {
    const smallest = { offload: 'none', ...ladder.at(-1)! } as const;
    const chunks = [14, 7, 5, 2, 1].map((decodeChunkSize) => {
      const fitted = fit(roomFor({ ...smallest, decodeChunkSize }, true));
      fitted[Symbol.dispose]();
      return fitted.settings.decodeChunkSize;
    });
    expect(chunks).to.deep.equal([14, 7, 5, 2, 1]);
  });

  it('leaves what was given', () => {
    pipe.unet.enableForwardChunking(2);
    const [first] = attentionsIn(pipe.unet);
    limitScores(first!, 12345);
    try {
      const before = state();
      const given = { decodeChunkSize: 5, guidanceTogether: true };
      const fitted = fit(100 * 1024 * MiB, given);
      expect(fitted.settings).to.include(given);
      expect(state()).to.deep.equal({
        attentionBytes: [12345, 256 * MiB],
        forwardChunking: before.forwardChunking,
      });
      fitted[Symbol.dispose]();
      expect(state()).to.deep.equal(before);
    } finally {
      limitScores(first!, undefined);
      pipe.unet.disableForwardChunking();
    }
  });

  it('does nothing without a planner', () => {
    const settings = checkCall(picture, {}, facts);
    const fitted = fitIntoMemory(pipe.components, settings, {});
    expect(fitted.settings).to.equal(settings);
    expect(state()).to.deep.equal(untouched);
    fitted[Symbol.dispose]();
    expect(state()).to.deep.equal(untouched);
  });

  it('refuses at once what does not fit, and names what would', async () => {
    const room = roomFor({ offload: 'none', ...ladder.at(-1)! }, false) / 2;
    const small = new SamplingPipeline(components(room));
    const seen: string[] = [];
    const tensors = tf.memory().numTensors;
    const see = (what: string) => () => {
      seen.push(what);
    };
    const watch = { onProgress: see('progress'), onStage: see('stage'), onBlock: see('block') };
    const options = { height, width, numFrames, outputType: 'latent', ...watch } as const;
    const error = await small.generate(picture, options).then(
      () => new Error('nothing was thrown'),
      (error: Error) => error,
    );
    expect(error).to.be.instanceOf(MemoryError);
    const message =
      /^14 frames of 1024x576 do not fit into memory: sampling needs \d+ MiB and the graphics card has \d+ MiB\. 14 frames of (\d+)x(\d+) would fit\.$/;
    expect(error.message).to.match(message);
    const [nearWidth, nearHeight] = error.message.match(message)!.slice(1).map(Number);
    const call = { width: nearWidth, height: nearHeight, outputType: 'latent' } as const;
    fit(room, call)[Symbol.dispose]();
    expect(
      () => fit(room, { ...call, width: nearWidth! + 128, height: nearHeight! + 128 }),
      'a larger size',
    ).to.throw(MemoryError);
    expect(seen, 'what was begun').to.deep.equal([]);
    expect(tf.memory().numTensors).to.equal(tensors);
    expect(state()).to.deep.equal(untouched);
  });

  it('is undone when the call ends, well or not', async () => {
    const settings = {
      guidanceTogether: false,
      attentionBytes: 4 * MiB,
      forwardChunking: { size: 1, dim: 0 },
      decodeChunkSize: 1,
    } as const;
    const plan = {
      fits: true,
      settings,
      offload: 'none',
      choices: [],
      stages: [],
      processBytes: 0,
    } as const;
    const planned = new SamplingPipeline({
      ...pipe.components,
      planner: { plan: () => ({ ...plan, choices: [], stages: [] }) },
    });
    const options = {
      height: 8,
      width: 16,
      numFrames: 2,
      numInferenceSteps: 1,
      outputType: 'latent',
    } as const;
    for (const fails of [false, true]) {
      const during: unknown[] = [];
      const callbackOnStepEnd = async () => {
        during.push(state());
        if (fails) throw new Error('the callback failed');
        return {};
      };
      const result = await planned.generate(picture, { ...options, callbackOnStepEnd }).then(
        ({ frames }) => {
          frames.dispose();
          return 'done';
        },
        (error: Error) => error.message,
      );
      expect(result).to.equal(fails ? 'the callback failed' : 'done');
      expect(during).to.deep.equal([
        { attentionBytes: [4 * MiB], forwardChunking: { size: 1, dim: 0 } },
      ]);
      expect(state()).to.deep.equal(untouched);
    }
  });
});
