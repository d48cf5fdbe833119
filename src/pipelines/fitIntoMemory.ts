/** Makes one sampling call run as its memory plan says. */
import { attentionsIn } from '../layers/index.ts';
import type { Components } from './components.ts';
import type { CallSettings } from './settings.ts';
import type { GenerateOptions } from './types.ts';

/**
 * Plans the call and sets its models up for it, until `undo`. What was given stays.
 * @throws One sentence with the nearest sizes that fit, if the call does not.
 */
export function fitIntoMemory(
  { planner, offload, unet, vae }: Components,
  settings: CallSettings,
  scales: number[],
  { decodeChunkSize, guidanceTogether }: GenerateOptions,
): { settings: CallSettings; undo: () => void } {
  if (!planner) return { settings, undo: () => {} };
  const { batch, numVideosPerPrompt, outputType } = settings;
  const size = {
    ...settings,
    pictures: batch,
    videos: batch * numVideosPerPrompt,
    guided: scales.some((scale) => scale > 1),
    decoded: outputType !== 'latent',
  };
  const given = unet.forwardChunking;
  const { levers } = planner.plan(size, {
    offload: offload?.mode ?? 'none',
    guidanceTogether,
    forwardChunking: given,
    decodeChunkSize,
  });
  const attentions = [unet, vae]
    .flatMap(attentionsIn)
    .filter(({ scoreBytes }) => scoreBytes === undefined);
  for (const attention of attentions) attention.scoreBytes = levers.attentionBytes;
  if (!given && levers.forwardChunking)
    unet.enableForwardChunking(levers.forwardChunking.size, levers.forwardChunking.dim);
  const undo = () => {
    for (const attention of attentions) attention.scoreBytes = undefined;
    if (!given) unet.disableForwardChunking();
  };
  const { decodeChunkSize: frames, guidanceTogether: together } = levers;
  return { settings: { ...settings, decodeChunkSize: frames, guidanceTogether: together }, undo };
}
