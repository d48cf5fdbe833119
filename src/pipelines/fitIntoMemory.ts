/** Makes one sampling call run as its memory plan says. */
import { loraLayers, ranksOn } from '../adapters/core.ts';
import { attentionsIn } from '../layers/index.ts';
import type { GivenSettings } from '../memory/plan.ts';
import type { VideoSize } from '../memory/stages.ts';
import { givenSettings, runPlanning, sizeOfCall } from './callPlanner.ts';
import type { Components } from './components.ts';
import type { CallSettings } from './settings.ts';
import type { GenerateOptions } from './types.ts';

type Parts = Pick<Components, 'planner' | 'offload' | 'unet'>;

/** The size of a call, and the settings that are not the planner's choice. */
function questionOf(
  { offload, unet }: Parts,
  settings: CallSettings,
  options: GenerateOptions,
): [VideoSize, GivenSettings] {
  const { forwardChunking } = unet;
  const forwardChunkSize = forwardChunking?.dim === 0 ? forwardChunking.size : undefined;
  return [
    sizeOfCall({
      ...settings,
      pictures: settings.batch,
      forwardChunkSize,
      loraRanks: ranksOn(loraLayers('generate', unet)),
    }),
    {
      ...givenSettings(options, offload?.mode ?? 'none'),
      forwardChunking,
    },
  ];
}

/**
 * Plans the call, so that `fitIntoMemory` knows the plan at once.
 * @throws MemoryError that names the nearest sizes that fit, if the call does not fit; the signal's
 * reason if it aborts.
 */
export async function planAhead(
  parts: Parts,
  settings: CallSettings,
  options: GenerateOptions,
): Promise<void> {
  const steps = parts.planner?.planInSteps?.(...questionOf(parts, settings, options));
  if (steps) await runPlanning(steps, options.signal);
}

/**
 * Plans the call and sets its models up for it, until the result is disposed of.
 * @returns The settings of the call, with those that the plan has chosen. Given settings stay.
 * @throws MemoryError that names the nearest sizes that fit, if the call does not fit.
 */
export function fitIntoMemory(
  components: Components,
  settings: CallSettings,
  options: GenerateOptions,
): { settings: CallSettings } & Disposable {
  const { planner, unet, vae } = components;
  if (!planner) return { settings, [Symbol.dispose]: () => {} };
  const given = unet.forwardChunking;
  const { attentionBytes, forwardChunking, ...chosen } = planner.plan(
    ...questionOf(components, settings, options),
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
