/**
 * Choices and defaults of a sampling call. They stand apart from what uses them, so that the
 * command line can show them without loading TensorFlow.js.
 */

/** The forms that a result can have. */
export const outputTypes = ['image', 'array', 'tensor', 'latent'] as const;

/** The defaults of `generate` that do not depend on the model. */
export const callDefaults = {
  height: 576,
  width: 1024,
  numInferenceSteps: 25,
  minGuidanceScale: 1,
  maxGuidanceScale: 3,
  fps: 7,
  motionBucketId: 127,
  noiseAugStrength: 0.02,
  numVideosPerPrompt: 1,
  outputType: 'image',
} as const;

/** The most that a call takes of what it has to list beforehand: noise levels and videos. */
export const callLimits = { numInferenceSteps: 100_000, numVideosPerPrompt: 1000 } as const;

/** The branch of DeepCache where none is given: all of the top level is computed anew. */
export const DEEP_CACHE_BRANCH = 1;
