/** Makes one sampling call run as its memory plan says. */
import { attentionsIn } from '../layers/index.ts';
import { givenSettings, sizeOfCall } from './callPlanner.ts';
import type { Components } from './components.ts';
import type { CallSettings } from './settings.ts';
import type { GenerateOptions } from './types.ts';

/**
 * Plans the call and sets its models up for it, until the result is disposed of.
 * @returns The settings of the call, with those that the plan has chosen. Given settings stay.
 * @throws MemoryError that names the nearest sizes that fit, if the call does not fit.
 */
export function fitIntoMemory(
  { planner, offload, unet, vae }: Components,
  settings: CallSettings,
  options: GenerateOptions,
): { settings: CallSettings } & Disposable {
  if (!planner) return { settings, [Symbol.dispose]: () => {} };
  const given = unet.forwardChunking;
  const { attentionBytes, forwardChunking, ...chosen } = planner.plan(
    sizeOfCall({ ...settings, pictures: settings.batch }),
    { ...givenSettings(options, offload?.mode ?? 'none'), forwardChunking: given },
  ).settings;
  const attentions = [unet, vae]
    .flatMap(attentionsIn)
    .filter(({ scoreBytes }) => scoreBytes === undefined);
  for (const attention of attentions) attention.scoreBytes = attentionBytes;
  if (!given && forwardChunking)
    unet.enableForwardChunking(forwardChunking.size, forwardChunking.dim);
  return {
    settings: { ...settings, ...chosen },
    [Symbol.dispose]: () => {
      for (const attention of attentions) attention.scoreBytes = undefined;
      if (!given) unet.disableForwardChunking();
    },
  };
}
