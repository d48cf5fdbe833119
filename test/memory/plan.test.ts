import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import {
  type MemoryPlan,
  MemoryPlanner,
  type MemoryRequest,
  planMemory,
  USABLE_SHARE,
} from '../../src/memory/plan.ts';
import { type Device, devices } from '../../src/memory/shapes/allocators.ts';
import type { ModelConfigs } from '../../src/memory/stages.ts';
import { useHalfGain } from '../../src/ops/tensorflow/computeIn.ts';
import { callPlanner, runPlanning, sizeOfCall } from '../../src/pipelines/callPlanner.ts';
import { smallConfigs } from '../harness/smallConfigs.ts';
import { testBackend } from '../setup.ts';

/** The published models. */
const published: ModelConfigs = {
  unet: { sampleSize: 96 },
  vae: {
    blockOutChannels: [128, 256, 512, 512],
    downBlockTypes: Array(4).fill('DownEncoderBlock2D'),
    layersPerBlock: 2,
  },
  imageEncoder: {
    ...{
      hiddenSize: 1280,
      intermediateSize: 5120,
      projectionDim: 1024,
      numHiddenLayers: 32,
      numAttentionHeads: 16,
      patchSize: 14,
    },
    hiddenAct: 'gelu',
  },
};

const GiB = 2 ** 30;

const request = (changes: Partial<MemoryRequest> = {}): MemoryRequest => ({
  ...{
    device: 'tensorflow-cpu',
    height: 256,
    width: 256,
    numFrames: 14,
    pictures: 1,
    videos: 1,
    guided: true,
    decoded: true,
  },
  ...changes,
});

/** Knows after the first question what most others ask. */
const shared = new MemoryPlanner(published);
const plan = (changes: Partial<MemoryRequest> = {}) => shared.plan(request(changes));

/** Peak bytes of the stage of a name. */
const bytesOf = ({ stages }: MemoryPlan, name: string) =>
  Math.max(...stages.filter(({ stage }) => stage === name).map((s) => s.processBytes));

describe('planMemory', () => {
  it('takes the fastest way where there is enough memory', () => {
    const { fits, choices, settings, offload } = plan({ processBytes: 100 * GiB });
    expect({ fits, choices, offload }).to.deep.equal({ fits: true, choices: [], offload: 'none' });
    expect(settings).to.deep.equal({
      guidanceTogether: true,
      attentionBytes: 16 * 2 ** 20,
      decodeChunkSize: 14,
    });
  });

  it('counts weights once each, and declares none for good', () => {
    const before = tf.memory().numTensors;
    expect(planMemory(published, request()), 'the public function').to.deep.equal(plan());
    const weights = 4 * (1_524_623_082 + 97_742_847 + 632_076_800);
    const { stages } = plan();
    expect(stages[0].processBytes).to.be.within(weights, weights + 1.5 * GiB);
    expect(tf.memory().numTensors).to.equal(before);
  });

  it('saves more, the less memory there is, and never exceeds it', () => {
    const rooms = [40, 15, 9, 6.5, 2.5];
    const plans = rooms.map((room) => plan({ processBytes: room * GiB }));
    plans.forEach((one, i) => {
      expect(one.fits, `${rooms[i]} GiB`).to.equal(true);
      expect(one.processBytes, `${rooms[i]} GiB`).to.be.below(rooms[i] * GiB);
    });
    expect(plans.map(({ offload }) => offload)).to.deep.equal([
      'none',
      'none',
      'model',
      'sequential',
      'sequential',
    ]);
    const chunks = plans.map(({ settings }) => settings.decodeChunkSize);
    expect(chunks[0]).to.equal(14);
    expect(chunks[1], 'no less than usual while offload can help').to.be.at.least(8);
    expect(chunks[4]).to.be.below(8);
  });

  it('leaves what is given', () => {
    const givenSettings = {
      offload: 'none',
      guidanceTogether: false,
      decodeChunkSize: 2,
      forwardChunking: { size: 7, dim: 0 },
    } as const;
    const { settings, offload, choices } = plan({ givenSettings });
    expect({ ...settings, offload }).to.deep.equal({
      ...givenSettings,
      attentionBytes: 16 * 2 ** 20,
    });
    expect(choices).to.deep.equal([
      'the halves of guidance in turn',
      'feed-forward layers on 7 frames at a time',
      '2 frames decoded at a time',
    ]);
  });

  it('expects less of every setting that saves memory', () => {
    const size = { height: 576, width: 1024, numFrames: 25 };
    const usual = { offload: 'model', guidanceTogether: false, decodeChunkSize: 8 } as const;
    const sampling = (givenSettings: MemoryRequest['givenSettings']) =>
      bytesOf(plan({ ...size, givenSettings: { ...usual, ...givenSettings } }), 'sampling');
    const base = sampling({});
    expect(sampling({ guidanceTogether: true })).to.be.above(1.3 * base);
    // Feed-forward layers work in slices of their own, smaller than chunks of frames, which change
    // little more than gaps between tensors.
    expect(sampling({ forwardChunking: { size: 5, dim: 0 } })).to.be.closeTo(base, 0.01 * base);
    const decoding = (decodeChunkSize: number) =>
      bytesOf(plan({ ...size, givenSettings: { ...usual, decodeChunkSize } }), 'decoding');
    expect(decoding(25)).to.be.above(1.5 * decoding(8)); // sampling needs as much as 8
    expect(
      bytesOf(plan({ ...size, givenSettings: { ...usual, offload: 'sequential' } }), 'sampling'),
    ).to.be.below(base - 4 * GiB);
  });

  it('counts what DeepCache keeps, of both halves also where they come in turn @slow', () => {
    const sampling = (guidanceTogether: boolean, deepCacheBranch?: number) =>
      bytesOf(plan({ givenSettings: { guidanceTogether }, deepCacheBranch }), 'sampling');
    const state = 4 * 14 * 32 * 32 * 640;
    // The evaluation needs the most memory before it keeps the state of its own half.
    const added = sampling(false, 1) - sampling(false);
    expect(added).to.be.within(0.9 * state, 1.1 * state);
    for (const branch of [1, 10]) expect(sampling(true, branch)).to.be.at.least(sampling(true));
    expect(() => plan({ deepCacheBranch: 11 })).to.throw('has to be from 0 to 10 for this UNet');
  });

  it('counts weights that stay in half precision as half', () => {
    const held = { unet: 'half', vae: 'half', imageEncoder: 'half' } as const;
    const difference =
      plan({}).stages[0].processBytes -
      planMemory({ ...published, held }, request()).stages[0].processBytes;
    expect(difference).to.be.closeTo(2 * 2_254_442_729, 0.4 * GiB);
  });

  it('plans 0.62 of the memory of a device for webgpu at most, where weights stay in half', () => {
    const held = { unet: 'half', vae: 'half', imageEncoder: 'half' } as const;
    for (const decodeChunkSize of [2, 8, 14]) {
      const call = request({ device: 'webgpu', givenSettings: { decodeChunkSize } });
      const [wide, half] = [{}, { held }].map(
        (how) => planMemory({ ...published, ...how }, call).deviceBytes!,
      );
      expect(half / wide, `${decodeChunkSize} frames together`).to.be.below(0.62);
    }
  });

  it('slices what the largest tensor of a device would not hold, or says that', () => {
    const MiB = 2 ** 20;
    const limited = (tensorBytes: number, changes: Partial<MemoryRequest> = {}) =>
      plan({ device: 'webgpu', tensorBytes, ...changes });
    const few = limited(128 * MiB); // what every device has
    expect(few.fits).to.equal(true);
    expect(few.settings.guidanceTogether).to.equal(true);
    expect(Math.max(...few.stages.map((one) => one.largestBytes))).to.be.at.most(128 * MiB);
    expect(few.choices.filter((choice) => choice.startsWith('attention'))).to.deep.equal([]);
    expect(limited(128 * MiB, { height: 576, width: 1024 }).fits).to.equal(false);
    expect(limited(100 * MiB).fits, 'the largest weight takes 112.5 MiB').to.equal(false);
  });

  it('counts as half what is rounded to the type that pays, but for encoders', function () {
    if (testBackend !== 'tensorflow') this.skip();
    const find = useHalfGain(() => ({ pays: true, finding: 'as a test says' }));
    try {
      const rounded = planMemory({ ...published, dtype: 'bfloat16', rounds: true }, request());
      const kept = planMemory({ ...published, dtype: 'bfloat16' }, request());
      // The UNet and the decoder have 1.5 and 0.06 billion weights.
      expect(kept.stages[0].processBytes - rounded.stages[0].processBytes).to.be.closeTo(
        2 * 1_588_000_000,
        0.4 * GiB,
      );
    } finally {
      useHalfGain(find);
    }
  });

  it('leaves out decoding for latents', () => {
    expect(plan({ decoded: false }).stages.map(({ stage }) => stage)).to.deep.equal([
      'encoding',
      'encoding',
      'sampling',
    ]);
  });

  it("keeps within WebAssembly's 4 GiB and a card's memory and buffers", () => {
    const wasm = plan({ device: 'wasm' });
    expect([wasm.fits, wasm.offload]).to.deep.equal([true, 'sequential']);
    expect(wasm.deviceBytes).to.be.below(4 * GiB);
    expect(plan({ device: 'tensorflow-gpu', deviceBytes: 8 * GiB }).deviceBytes).to.be.below(
      8 * GiB,
    );
    const small = plan({ device: 'webgpu', tensorBytes: 128 * 2 ** 20 });
    expect(Math.max(...small.stages.map(({ largestBytes }) => largestBytes))).to.be.at.most(
      128 * 2 ** 20,
    );
    expect(small.fits).to.equal(true);
  });

  it('never takes for too large what takes less', () => {
    for (const device of devices) {
      for (const decodeChunkSize of [1, 14]) {
        const { stages } = planMemory(
          smallConfigs,
          request({
            device,
            height: 512,
            width: 512,
            givenSettings: { offload: 'none', decodeChunkSize },
          }),
        );
        const tensorOf = (name: string) =>
          Math.max(...stages.filter(({ stage }) => stage === name).map((s) => s.largestBytes));
        const features = 4 * 512 * 512 * 32;
        expect(tensorOf('encoding'), device).to.be.at.least(features);
        expect(tensorOf('decoding'), device).to.be.at.least(decodeChunkSize * features);
      }
    }
  });

  it('gives the smallest way when nothing fits', () => {
    const { fits, settings, offload } = plan({
      height: 576,
      width: 1024,
      numFrames: 25,
      processBytes: GiB,
    });
    expect([fits, offload, settings.decodeChunkSize, settings.guidanceTogether]).to.deep.equal([
      false,
      'sequential',
      1,
      false,
    ]);
  });
});

describe('planning pictures that the VAE does not make smaller', () => {
  it('follows few of the slices of attention to all their pixels', () => {
    const smallest = new MemoryPlanner({ ...smallConfigs, vae: { blockOutChannels: [32] } });
    const shapes = { height: 576, width: 1024, processBytes: 64 * GiB };
    expect(smallest.plan(request(shapes)).fits).to.equal(true);
  });
});

describe('planning many frames', () => {
  const long = (numFrames: number) =>
    request({ height: 64, width: 64, numFrames, processBytes: 10_000 * GiB });

  /** The number of kernels whose shapes are run for a plan. */
  function kernelsOf(changes: Partial<MemoryRequest>): number {
    const engine = tf.engine();
    const { runKernel } = engine;
    let count = 0;
    engine.runKernel = (...call) => {
      count++;
      return runKernel.apply(engine, call) as never;
    };
    try {
      planMemory(smallConfigs, request({ ...long(2), ...changes }));
    } finally {
      engine.runKernel = runKernel;
    }
    return count;
  }

  it('takes no more work for more of them, nor for more videos', () => {
    expect(kernelsOf({ numFrames: 1000 })).to.equal(kernelsOf({ numFrames: 100_000 }));
    expect(kernelsOf({ videos: 1000 })).to.equal(kernelsOf({ videos: 100_000 }));
  });

  it('expects memory in proportion to them', () => {
    const planner = new MemoryPlanner(smallConfigs);
    const bytes = [32, 64, 65, 96, 128, 1024].map(
      (numFrames) => planner.plan(long(numFrames)).processBytes,
    );
    const [few, some, one, more, many, most] = bytes as [number, ...number[]] & number[];
    expect(one! - some!).to.be.closeTo((some! - few) / 32, 1);
    expect(more! - some!).to.be.closeTo(some! - few, 1);
    expect(many! - some!).to.be.closeTo(2 * (some! - few), 1);
    expect(most! - some!).to.be.closeTo(30 * (some! - few), 1);
  });

  it('hears signals between its steps, and frees its models', async () => {
    const before = tf.memory().numTensors;
    const controller = new AbortController();
    const steps = new MemoryPlanner(smallConfigs).planInSteps(long(100));
    setTimeout(() => controller.abort(new Error('enough')));
    const error = await runPlanning(steps, controller.signal).catch((reason) => reason);
    expect(error.message).to.equal('enough');
    expect(tf.memory().numTensors).to.equal(before);
  });

  it('is refused at once far beyond the memory there is', () => {
    const refused = (changes: Partial<MemoryRequest>) => {
      const call = { ...request({ processBytes: 4 * GiB }), ...changes };
      const { fits, stages } = planMemory(published, call);
      return !fits && stages.every(({ more }) => more);
    };
    expect(refused({ numFrames: 1_000_000 })).to.equal(true);
    expect(refused({ videos: 1_000_000 })).to.equal(true);
    expect(refused({ height: 80_000, width: 80_000 })).to.equal(true);
  });
});

function messageOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    return (error as Error).message;
  }
  return 'nothing was thrown';
}

describe('callPlanner', () => {
  const planner = (processBytes: number, device: Device = 'tensorflow-cpu') =>
    callPlanner(smallConfigs, device, () => ({ processBytes }));
  const size = sizeOfCall({ numFrames: 14 });

  it('refuses forward chunks that do not divide the frames, before it plans', () => {
    expect(() => sizeOfCall({ numFrames: 2, forwardChunkSize: 3 })).to.throw(
      '`forwardChunkSize` (--forward-chunking) has to divide the 2 frames of the call but is 3.',
    );
    sizeOfCall({ numFrames: 2, numVideosPerPrompt: 3, forwardChunkSize: 3 });
  });

  it('knows the branch of DeepCache, where it is in use', () => {
    const branch = (deepCache?: { interval: number; branch?: number }) =>
      sizeOfCall({ deepCache }).deepCacheBranch;
    expect([branch(), branch({ interval: 1, branch: 3 })]).to.deep.equal([undefined, undefined]);
    expect([branch({ interval: 2 }), branch({ interval: 3, branch: 0 })]).to.deep.equal([1, 0]);
  });

  it('fills in the defaults of generate', () => {
    expect(sizeOfCall({}, 25)).to.deep.equal({
      ...{
        height: 576,
        width: 1024,
        numFrames: 25,
        pictures: 1,
        videos: 1,
        guided: true,
        decoded: true,
      },
    });
    const { videos, guided, decoded } = sizeOfCall({
      pictures: 2,
      numVideosPerPrompt: 3,
      maxGuidanceScale: 1,
      outputType: 'latent',
    });
    expect({ videos, guided, decoded }).to.deep.equal({ videos: 6, guided: false, decoded: false });
  });

  it('refuses with the nearest sizes that fit @slow', () => {
    const long = sizeOfCall({ numFrames: 28, outputType: 'latent' });
    const refused = () => planner(1.1 * GiB).plan(long, {});
    const message =
      /^28 frames of 1024x576 do not fit into memory: sampling needs \d\.\d GiB and there are 1\.1 GiB\. (\d+) frames? of 1024x576 or 28 frames of (\d+)x(\d+) would fit\.$/;
    expect(messageOf(refused)).to.match(message);
    const [frames, width, height] = messageOf(refused).match(message)!.slice(1).map(Number);
    const fits = (changes: Partial<MemoryRequest>) =>
      planMemory(smallConfigs, request({ ...long, processBytes: 1.1 * GiB, ...changes })).fits;
    expect(fits({ numFrames: frames })).to.equal(true);
    expect(fits({ numFrames: frames + 1 }), 'one frame more').to.equal(false);
    expect(fits({ width, height })).to.equal(true);
  });

  it('says which given settings stand in the way', () => {
    expect(() => planner(2 * GiB).plan(size, { offload: 'none', decodeChunkSize: 14 })).to.throw(
      'They fit if `offload` and `decodeChunkSize` are left out, to be chosen by the memory ' +
        'there is.',
    );
  });

  it('says where weights would have to be when that is enough @slow', () => {
    const room = (offload: 'none' | 'model') =>
      planMemory(published, request({ givenSettings: { offload } })).processBytes / USABLE_SHARE;
    const [resident, offloaded] = [room('none'), room('model')];
    const limits = () => ({ processBytes: (resident + offloaded) / 2 });
    const { guided, decoded, height, width, numFrames, pictures, videos } = request();
    const call = { guided, decoded, height, width, numFrames, pictures, videos };
    // As a call asks whose pipeline was loaded without offload, which cannot be changed any more.
    const givenSettings = {
      offload: 'none',
      guidanceTogether: true,
      decodeChunkSize: 14,
      forwardChunking: { size: 1, dim: 0 },
    } as const;
    const message = messageOf(() =>
      callPlanner(published, 'tensorflow-cpu', limits).plan(call, givenSettings),
    );
    expect(message).to.match(
      /^14 frames of 256x256 do not fit .+\. They fit if the pipeline is loaded with `offload` model\.$/,
    );
  });

  it('does not advise what cannot be otherwise @slow', () => {
    const { guided, decoded, height, width, numFrames, pictures, videos } = request();
    const call = { guided, decoded, height, width, numFrames, pictures, videos };
    const room = (offload: 'none' | 'model') =>
      planMemory(published, request({ givenSettings: { offload } })).processBytes / USABLE_SHARE;
    const limits = () => ({ processBytes: (room('none') + room('model')) / 2 });
    const inPlace = callPlanner(published, 'tensorflow-cpu', limits, { offload: 'none' });
    expect(messageOf(() => inPlace.plan(call, { guidanceTogether: true }))).to.match(
      / (No size fits\.|would fit\.)/,
    );
  });

  it('knows at once what is far too large, and what of it would fit @slow', () => {
    const before = process.cpuUsage();
    const call = sizeOfCall({ height: 16384, width: 16384, numFrames: 8 });
    const message = messageOf(() => callPlanner(smallConfigs, 'wasm', () => ({})).plan(call, {}));
    expect(process.cpuUsage(before).user, 'microseconds').to.be.below(30e6);
    const named =
      /^8 frames of 16384x16384 do not fit into memory: encoding needs more than \d+\.\d GiB and WebAssembly has 4\.0 GiB\. 8 frames of (\d+)x\1 would fit\.$/;
    expect(message).to.match(named);
    const side = Number(named.exec(message)![1]);
    expect(
      planMemory(smallConfigs, { ...call, device: 'wasm', height: side, width: side }).fits,
    ).to.equal(true);
  });

  it('says what to do when no size fits', () => {
    expect(() => planner(0.5 * GiB).plan(size, {})).to.throw(
      'No size fits. Try another backend, or a machine with more memory.',
    );
  });

  it('holds to what it planned before loading, though less memory is free then', () => {
    let free = 20 * GiB;
    const { plan } = callPlanner(smallConfigs, 'tensorflow-cpu', () => ({ processBytes: free }));
    const first = plan(size, {});
    free = 1 * GiB;
    expect(plan(size, { offload: first.offload, decodeChunkSize: undefined })).to.equal(first);
    expect(() => plan({ ...size, numFrames: 15 }, {})).to.throw('do not fit');
  });
});
