/** The messages between the page and its worker. */
import type {
  BrowserBackend,
  BrowserVideoFormat,
  Progress,
  RgbImage,
} from 'stable-video-diffusion-tfjs/browser';

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

export type ToWorker =
  | { type: 'generate'; request: Request }
  | { type: 'encode'; frames: RgbImage[]; fps: number; format: BrowserVideoFormat }
  | { type: 'cancel' };

export type FromWorker =
  /** It holds the lock that has its name, as long as it lives. */
  | { type: 'locked' }
  | { type: 'backend'; name: BrowserBackend; note: string }
  | { type: 'progress'; progress: Progress }
  | { type: 'preview'; frames: RgbImage[] }
  /** `formats` are those that `encode` can be asked for. */
  | {
      type: 'done';
      frames: RgbImage[];
      video: Blob;
      formats: BrowserVideoFormat[];
      seconds: number;
    }
  | { type: 'encoded'; format: BrowserVideoFormat; video: Blob }
  /** `field` is the name of the field that is wrong, if one is. */
  | { type: 'failed'; message: string; reusable: boolean; field?: string }
  | { type: 'cancelled' };
