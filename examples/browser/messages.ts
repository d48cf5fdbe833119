/** The messages between the page and its worker. */
import type { BrowserBackend, Progress, RgbImage } from 'stable-video-diffusion-tfjs/browser';

/** A call of the pipeline. */
export interface Request {
  picture: RgbImage;
  /** The address of the model's folder. */
  model: string;
  variant?: string;
  backend: 'auto' | BrowserBackend;
  seed: number;
  settings: {
    height: number;
    width: number;
    numFrames: number;
    numInferenceSteps: number;
    fps: number;
    motionBucketId: number;
    maxGuidanceScale: number;
  };
}

export type ToWorker = { type: 'generate'; request: Request } | { type: 'cancel' };

export type FromWorker =
  /** It holds the lock that has its name, as long as it lives. */
  | { type: 'locked' }
  | { type: 'backend'; name: BrowserBackend; note: string }
  | { type: 'progress'; progress: Progress }
  | { type: 'preview'; width: number; height: number; frames: Uint8ClampedArray<ArrayBuffer>[] }
  | { type: 'done'; frames: RgbImage[]; mp4: Uint8Array<ArrayBuffer>; seconds: number }
  | { type: 'failed'; message: string; reusable: boolean }
  | { type: 'cancelled' };
