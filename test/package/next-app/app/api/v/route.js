import { Generator, loadImage, StableVideoDiffusionPipeline } from 'stable-video-diffusion-tfjs';

export const dynamic = 'force-dynamic';

let pipe;

export async function GET() {
  pipe ??= await StableVideoDiffusionPipeline.fromPretrained(process.env.MODEL, {
    backend: 'wasm',
  });
  const picture = await loadImage(process.env.PICTURE);
  const size = { height: 64, width: 96, numFrames: 2, numInferenceSteps: 1 };
  const { frames } = await pipe.generate(picture, { ...size, generator: new Generator(1) });
  return Response.json({ frames: frames[0].length });
}
