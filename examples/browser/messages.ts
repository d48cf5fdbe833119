/** The messages between the page and its worker. */
import type {
  BrowserBackend,
  BrowserVideoFormat,
  Progress,
  RgbImage,
  UrlDescription,
} from 'stable-video-diffusion-tfjs/browser';

/** A call of the pipeline. */
export interface Request {
  picture: RgbImage;
  /** The address of the model's folder. */
  model: string;
  /** Whether it is the page's own model, which is downloaded without a question. */
  isOwn: boolean;
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
  /** The answer to `question`, unless that is `cancel`. */
  | { type: 'download' }
  | { type: 'encode'; frames: RgbImage[]; fps: number; format: BrowserVideoFormat }
  | { type: 'cancel' };

export type FromWorker =
  /** It holds the lock that has its name, as long as it lives. */
  | { type: 'locked' }
  | { type: 'backend'; name: BrowserBackend; note: string }
  /** Before it downloads a model, it waits for an answer. */
  | { type: 'question'; model: string; description: UrlDescription }
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
