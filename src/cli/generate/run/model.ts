/** The checkpoint of one call of `svd generate`, or of many: found, loaded, and planned for. */
import type { BackendReport } from '../../../backends/index.ts';
import { isSingleFile } from '../../../checkpoints/diffusers/names.ts';
import {
  type CheckpointIdentity,
  identifyCheckpoint,
  packagedModel,
} from '../../../checkpoints/index.ts';
import type { MemoryPlan } from '../../../memory/plan.ts';
import type { Device } from '../../../memory/shapes/allocators.ts';
import { deviceName } from '../../../ops/device.ts';
import { givenSettings, runPlanning, sizeOfCall } from '../../../pipelines/callPlanner.ts';
import { plannedRanks } from '../../../pipelines/lora/files.ts';
import { StableVideoDiffusionPipeline } from '../../../pipelines/node.ts';
import type { PlannedCall } from '../../../pipelines/types.ts';
import { schedulerByName } from '../../../schedulers/index.ts';
import { messageOf } from '../../../text/messages.ts';
import { locate, singleFileOptions } from '../../hubModel.ts';
import { askedLora, type LocatedLora, loadLoras, locateLoras } from '../../lora.ts';
import { ownSize, packagedNote, type TrainedFor, trainedFor } from '../../packagedModel.ts';
import { partOf } from '../../terminal/options.ts';
import type { Session } from '../../terminal/session.ts';
import { type GenerateCommand, generateOptions } from '../options.ts';
import { expectedOf } from '../watch/expected.ts';

/** A checkpoint, before its weights are read. */
export interface FoundModel {
  path: string;
  opening: ReturnType<typeof singleFileOptions> & { unet?: string };
  trained: TrainedFor;
  /** The LoRA on its UNet. */
  loras: LocatedLora[];
  loraRanks: Awaited<ReturnType<typeof plannedRanks>>;
}

/** Finds the checkpoint of a call, which is brought into the cache first if it is of the hub. */
export async function findModel(
  command: GenerateCommand,
  { signal, progress, note }: Session,
): Promise<FoundModel> {
  const { model } = command;
  if (model === undefined) note(packagedNote);
  const { path, unet } = await locate(model ?? packagedModel, command, {
    ...{ signal, note, onProgress: progress.update },
  });
  const opening = { ...singleFileOptions(path, command), unet };
  const trained = await trainedFor(path, opening);
  const loras = await locateLoras(command, { signal, onProgress: progress.update });
  const loraRanks = await plannedRanks({
    model: path,
    opening: { ...opening, variant: command.variant },
    loras: pathsOf(loras),
  });
  return { path, opening, trained, loras, loraRanks };
}

const pathsOf = (loras: LocatedLora[]) => loras.map(({ path }) => path);

/** The paths of all that a checkpoint is read from. */
export const placesOf = ({ path, opening: { config, unet }, loras }: FoundModel): string[] =>
  [path, config ?? [], unet ?? [], pathsOf(loras)].flat();

/** The size of the video of a call. */
export function sizeOf(
  { trained }: FoundModel,
  command: Pick<GenerateCommand, 'height' | 'width'>,
): { height: number; width: number } {
  const own = ownSize(trained);
  const { height = own.height, width = own.width } = command;
  return { height, width };
}

/** The options of the library's call that need no more than the command line. */
export function callOf(command: GenerateCommand) {
  const { seeds, latents, ...call } = partOf(command, generateOptions, 'call');
  return call;
}

/** The call to plan for. */
export const plannedCall = (found: FoundModel, command: GenerateCommand, pictures: number) => ({
  ...callOf(command),
  ...sizeOf(found, command),
  ...{ pictures, loraRanks: found.loraRanks, forwardChunkSize: command.forwardChunking },
});

/** A checkpoint that is ready for calls, whose memory is freed when it is disposed. */
export interface LoadedModel extends FoundModel, Disposable {
  pipe: StableVideoDiffusionPipeline;
  backend: BackendReport;
  /**
   * Plans a call, and tells the progress what is to come.
   * @throws MemoryError if it does not fit.
   */
  plan(command: GenerateCommand, pictures: number, session: Session): Promise<MemoryPlan>;
  /** Gives its LoRA the scales of a call, which names the same files. */
  scaleLoras(command: GenerateCommand): Promise<void>;
  /** Which checkpoint it is; undefined if its files cannot be read again. */
  identity: Promise<CheckpointIdentity | undefined>;
}

/**
 * Loads the weights, for a call or the largest of several.
 * @param identity The hashes of its files, if they are known.
 * @throws MemoryError if the call does not fit; what loading throws.
 */
export async function loadModel(
  found: FoundModel,
  command: GenerateCommand,
  pictures: number,
  backend: BackendReport,
  session: Session,
  identity?: CheckpointIdentity,
): Promise<LoadedModel> {
  const { path, opening, trained } = found;
  const { signal, progress } = session;
  const { variant, memory } = command;
  const { formulation, forwardChunking, scheduler, ...given } = partOf(
    command,
    generateOptions,
    'loading',
  );
  const expect = (
    plan: MemoryPlan,
    planned: PlannedCall,
    of: GenerateCommand,
    { progress }: Session,
  ) => {
    const size = sizeOfCall(planned, trained.numFrames);
    progress.expect(expectedOf(plan, size, deviceName() as Device, of));
  };
  const plannedFor = plannedCall(found, command, pictures);
  const loading = {
    ...given,
    // Chosen already, with the threads there are.
    ...{ backend: backend.name, threads: undefined },
    ...{ variant, memory, signal, onProgress: progress.update, plannedFor },
    onPlan: (plan: MemoryPlan) => expect(plan, plannedFor, command, session),
  };
  const pipe = isSingleFile(path)
    ? await StableVideoDiffusionPipeline.fromSingleFile(path, { ...loading, ...opening })
    : await StableVideoDiffusionPipeline.fromPretrained(path, { ...loading, unet: opening.unet });
  const names = await loadLoras(pipe, found.loras);
  if (scheduler !== undefined) pipe.scheduler = schedulerByName(scheduler);
  if (forwardChunking !== undefined) pipe.unet.enableForwardChunking(forwardChunking);
  // Beside the sampling: the files have just been read, so their bytes are still in the system's
  // cache.
  const hashing = new AbortController();
  return {
    ...{ ...found, pipe, backend },
    identity: identity
      ? Promise.resolve(identity)
      : identify(found, command, hashing.signal, session.note),
    async plan(of, pictures, session) {
      const call = plannedCall(found, of, pictures);
      const size = sizeOfCall(call, pipe.unet.config.numFrames);
      const { planner, offload } = pipe.components;
      const steps = planner!.planInSteps!(size, givenSettings(call, offload?.mode ?? 'none'));
      const plan = await runPlanning(steps, session.signal);
      expect(plan, call, of, session);
      return plan;
    },
    scaleLoras({ lora = [] }) {
      const scales = lora.map((text, i) => [names[i], askedLora(text).scale]);
      return pipe.setLoraScales(Object.fromEntries(scales));
    },
    [Symbol.dispose]() {
      hashing.abort();
      pipe.dispose();
    },
  };
}

/**
 * The hashes of the checkpoint. Without them, a note says so and videos are made all the same.
 */
export async function identify(
  found: FoundModel,
  command: Pick<GenerateCommand, 'variant'>,
  signal: AbortSignal,
  note: Session['note'],
): Promise<CheckpointIdentity | undefined> {
  try {
    return await identityOf(found, command, signal);
  } catch (error) {
    if (!signal.aborted)
      note(`the checkpoint is not named in the settings of the output. ${messageOf(error)}`);
    return undefined;
  }
}

/** The hashes of the checkpoint and of the LoRA on it. @throws What `identifyCheckpoint` does. */
export const identityOf = (
  { path, opening, loras }: FoundModel,
  { variant }: Pick<GenerateCommand, 'variant'>,
  signal: AbortSignal,
): Promise<CheckpointIdentity> =>
  identifyCheckpoint(path, { variant, ...opening, loras: pathsOf(loras), signal });
