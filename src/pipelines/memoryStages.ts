/** How much memory each stage of a sampling call takes, found by running its models by shape alone. */
import * as tf from '@tensorflow/tfjs';
import type { Device } from '../backends/shapes/devices.ts';
import { type Allocations, dryRun } from '../backends/shapes/dryRun.ts';
import { limitScores, type Steps, withoutWeights } from '../layers/index.ts';
import {
  AutoencoderKLTemporalDecoder,
  type AutoencoderKLTemporalDecoderConfig,
  type CLIPVisionConfig,
  CLIPVisionModelWithProjection,
  type UNetSpatioTemporalConditionConfig,
  UNetSpatioTemporalConditionModel,
} from '../models/index.ts';
import type { ModelName } from './components.ts';

/** The configurations of the models, with camelCase keys. */
export interface ModelConfigs {
  unet: UNetSpatioTemporalConditionConfig;
  vae: AutoencoderKLTemporalDecoderConfig;
  imageEncoder: CLIPVisionConfig;
}

/** What is to be made. */
export interface VideoSize {
  /** In pixels. */
  height: number;
  /** In pixels. */
  width: number;
  numFrames: number;
  /** Pictures in the batch. */
  pictures: number;
  /** Videos of all pictures together. */
  videos: number;
  /** Whether guidance is on, so that the UNet is evaluated twice per step. */
  guided: boolean;
  /** Whether the latents are decoded. */
  decoded: boolean;
}

/** The settings that change how much memory a call takes, and not what it computes. `decodeChunkSize` does change frames at seams a little. */
export interface Levers {
  /** Whether both halves of guidance go through the UNet as one batch. */
  guidanceTogether: boolean;
  /** Bytes that the scores of attention may take at a time. */
  attentionBytes: number;
  /** Frames that the feed-forward layers work on at a time; undefined for all. */
  forwardChunkSize?: number;
  /** Frames decoded together. */
  decodeChunkSize: number;
}

/** What one stage takes besides weights. */
export interface StageMemory extends Allocations {
  stage: 'encoding' | 'sampling' | 'decoding';
  /** The model at work. */
  model: ModelName;
  /** Bytes of JavaScript arrays. */
  hostBytes: number;
}

/** Models by shape alone, whose stages can be asked for their memory. Each question costs about a tenth of a second. */
export class StageModels {
  private readonly unet: UNetSpatioTemporalConditionModel;
  private readonly vae: AutoencoderKLTemporalDecoder;
  private readonly imageEncoder: CLIPVisionModelWithProjection;
  private readonly known = new Map<string, StageMemory>();

  constructor({ unet, vae, imageEncoder }: ModelConfigs) {
    this.unet = new UNetSpatioTemporalConditionModel(unet);
    this.vae = new AutoencoderKLTemporalDecoder(vae);
    this.imageEncoder = new CLIPVisionModelWithProjection(imageEncoder);
    withoutWeights(() => {
      for (const model of Object.values(this.models)) model.build();
    });
  }

  /** The models by name. */
  get models() {
    return { unet: this.unet, vae: this.vae, imageEncoder: this.imageEncoder };
  }

  /** Every stage of a call, in order. */
  stages(device: Device, size: VideoSize, levers: Levers): StageMemory[] {
    const stages = [this.encodingImage(device, size), this.encodingPicture(device, size, levers), this.sampling(device, size, levers)];
    return size.decoded ? [...stages, this.decoding(device, size, levers)] : stages;
  }

  /** Frees the declared weights. */
  dispose(): void {
    for (const model of Object.values(this.models)) model.dispose();
  }

  private encodingImage(device: Device, { pictures }: VideoSize): StageMemory {
    const { imageSize, numChannels } = this.imageEncoder.config;
    return this.once(['encoding', device, pictures], () => ({
      stage: 'encoding',
      model: 'imageEncoder',
      hostBytes: 0,
      ...dryRun(device, (input) => drain(this.imageEncoder.steps([input(pictures, imageSize, imageSize, numChannels)]))),
    }));
  }

  private encodingPicture(device: Device, { pictures, height, width }: VideoSize, { attentionBytes }: Levers): StageMemory {
    return this.once(['encoding picture', device, pictures, height, width, attentionBytes], () => {
      limitScores(this.vae, attentionBytes);
      const picture = [pictures, ...this.latentSize(height, width).map((n) => n * this.vae.scaleFactor), 3];
      return {
        stage: 'encoding',
        model: 'vae',
        hostBytes: 2 * 4 * tf.util.sizeFromShape(picture), // the picture and the noise on it
        ...dryRun(device, (input) => drain(this.vae.encodeSteps(input(...picture)))),
      };
    });
  }

  private sampling(device: Device, size: VideoSize, { guidanceTogether, attentionBytes, forwardChunkSize }: Levers): StageMemory {
    const { height, width, numFrames, videos, guided } = size;
    const halves = guided && guidanceTogether ? 2 : 1;
    return this.once(['sampling', device, height, width, numFrames, videos, guided, halves, attentionBytes, forwardChunkSize], () => {
      limitScores(this.unet, attentionBytes);
      if (forwardChunkSize) this.unet.enableForwardChunking(forwardChunkSize);
      else this.unet.disableForwardChunking();
      const { inChannels, outChannels } = this.unet.config;
      const frames = [videos * numFrames, ...this.latentSize(height, width)];
      const allocation = dryRun(device, (input) => {
        // Kept through the evaluations: latents, the picture for both halves, and the velocity of the first half.
        for (let i = 0; i < (guided ? 4 : 3); i++) input(...frames, outChannels);
        const [, ...rest] = frames;
        const context = input(halves * videos, 1, this.imageEncoder.config.projectionDim);
        const inputs = [input(halves * frames[0], ...rest, inChannels), input(1), context, input(halves * videos, 3)];
        drain(this.unet.steps(inputs, { numFrames }));
      });
      return { stage: 'sampling', model: 'unet', hostBytes: 0, ...allocation };
    });
  }

  private decoding(device: Device, size: VideoSize, { attentionBytes, decodeChunkSize }: Levers): StageMemory {
    const { height, width, numFrames, videos } = size;
    const count = Math.min(decodeChunkSize, numFrames);
    return this.once(['decoding', device, height, width, numFrames, videos, count, attentionBytes], () => {
      limitScores(this.vae, attentionBytes);
      const { latentChannels, outChannels } = this.vae.config;
      const [h, w] = this.latentSize(height, width);
      const frame = h * w * this.vae.scaleFactor ** 2 * outChannels;
      const allocation = dryRun(device, (input) => {
        input(videos * numFrames, h, w, latentChannels);
        const frames = drain(this.vae.decodeSteps(input(count, h, w, latentChannels), count));
        tf.clipByValue(tf.add(tf.div(frames, 2), 0.5), 0, 1);
      });
      // All frames as float32 numbers, those just read of the backend, and 8-bit pictures.
      return {
        stage: 'decoding',
        model: 'vae',
        hostBytes: frame * (4 * videos * numFrames + 4 * count + videos * numFrames),
        ...allocation,
      };
    });
  }

  private latentSize(height: number, width: number): number[] {
    return [height, width].map((n) => Math.floor(n / this.vae.scaleFactor));
  }

  private once(key: unknown[], find: () => StageMemory): StageMemory {
    const name = key.join();
    const found = this.known.get(name) ?? find();
    this.known.set(name, found);
    return found;
  }
}

function drain<T>(steps: Steps<T>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}
