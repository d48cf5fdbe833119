/** The work of `svd verify`: one backend after the other. */
import { listBackends, useBackend } from '../../backends/index.ts';
import {
  type CheckpointIdentity,
  identifyCheckpoint,
  openSafetensors,
} from '../../checkpoints/index.ts';
import { checkTarget } from '../../media/video/output.ts';
import { MemoryError } from '../../memory/errors.ts';
import { useFormulations } from '../../ops/index.ts';
import { plannedRanks } from '../../pipelines/lora/files.ts';
import { StableVideoDiffusionPipeline } from '../../pipelines/node.ts';
import type { LoadOptions } from '../../pipelines/types.ts';
import { messageOf } from '../../text/messages.ts';
import {
  checkSameCheckpoint,
  checkSameLoras,
  type Reference,
  readReference,
} from '../../verification/reference.ts';
import type { FramesSheet } from '../../verification/report/comparison.ts';
import type { StageResult } from '../../verification/stageResult.ts';
import { type VerifyOptions, verifyReference } from '../../verification/verify.ts';
import { checkKept, filesOfModels } from '../generate/checkPlaces.ts';
import { locate } from '../hubModel.ts';
import { describeLoras, type LocatedLora, loadLoras, locateLoras } from '../lora.ts';
import { otherVersions } from '../reference/pinned.ts';
import { atEnd, type Session } from '../terminal/session.ts';
import type { VerifyCommand } from './options.ts';
import { framesSheet } from './sheet.ts';

/** The sampler of the published models. */
const USUAL = 'EulerDiscreteScheduler';

/** The result of one backend. */
export interface BackendResult {
  backend: string;
  version?: string;
  device?: string;
  /**
   * Whether every stage is within its tolerance, or the backend could not be asked among others.
   */
  within: boolean;
  /** In the order in which they are computed. */
  stages?: StageResult[];
  /** The first stage out of tolerance. */
  firstBroken?: string;
  /** Why there was nothing to compare. */
  problem?: string;
  /** Frames for `--report`, as pictures. */
  sheet?: FramesSheet;
}

/** The comparison of a checkpoint with a reference. */
export interface Verification {
  /** The checkpoint, whose weights are those of the reference. */
  checkpoint: CheckpointIdentity;
  reference: Pick<Reference, 'call' | 'seeds' | 'blockStep' | 'versions'>;
  /** The versions that are not those which the tolerances are measured with, in words. */
  otherVersions?: string;
  /** One for each backend that was asked for. */
  results: BackendResult[];
}

/**
 * Verifies on the backend or backends that were asked for. With `all`, one that cannot be used or
 * has too little memory is reported and passed over.
 * @throws If the report cannot be written; if the reference cannot be read or is of another
 * checkpoint; for a single backend, if it cannot be used.
 */
export async function verifyBackends(
  command: VerifyCommand,
  { signal, progress, note }: Session,
): Promise<Verification> {
  const page =
    command.report === undefined ? undefined : { role: '--report', path: command.report };
  if (page) {
    await checkTarget(page.path);
    await checkKept(page, [{ role: 'the reference', path: command.reference }]);
  }
  const file = await openSafetensors(command.reference);
  await using _file = atEnd(() => file.close());
  const reference = await readReference(file, command.reference);
  const { _class_name: sampler = USUAL } = reference.scheduler ?? {};
  if (sampler !== USUAL) note(`the reference was made with the ${sampler}, and so is the replay`);
  const variant = command.variant ?? reference.checkpoint.variant ?? undefined;
  const onProgress = progress.update;
  const located = await locate(command.model, { ...command, variant }, { signal, onProgress });
  const { path: folder, unet } = located;
  if (page) await checkKept(page, await filesOfModels([folder, unet ?? []].flat()));
  const loras = await locateLoras(command, { signal, onProgress });
  const paths = loras.map((each) => each.path);
  const checkpoint = await identifyCheckpoint(folder, { variant, unet, signal, loras: paths });
  checkSameCheckpoint(reference, checkpoint.files);
  checkSameLoras(reference, await describeLoras(loras));
  const loraRanks = await plannedRanks({ model: folder, opening: { variant, unet }, loras: paths });
  useFormulations(command.formulation);
  const plannedFor = { ...reference.call, pictures: reference.pictures.length, loraRanks };
  const loading = { variant, unet, offload: command.offload, plannedFor, onProgress, signal };
  const verifyOn = (backend: BackendChoice) =>
    run(backend, folder, reference, { ...command, loras }, loading);
  const results =
    command.backend === 'all' ? await onAll(verifyOn, signal) : [await verifyOn(command.backend)];
  return { checkpoint, reference, otherVersions: otherVersions(reference.versions), results };
}

type BackendChoice = Exclude<VerifyCommand['backend'], 'all'>;

async function onAll(
  verifyOn: (backend: BackendChoice) => Promise<BackendResult>,
  signal: AbortSignal,
): Promise<BackendResult[]> {
  const results: BackendResult[] = [];
  for (const { name: backend, available, reason } of await listBackends()) {
    if (!available) results.push({ backend, within: true, problem: `passed over. ${reason}` });
    else {
      const failed = (error: unknown): BackendResult => {
        signal.throwIfAborted();
        const within = error instanceof MemoryError;
        return { backend, within, problem: `${within ? 'passed over. ' : ''}${messageOf(error)}` };
      };
      results.push(await verifyOn(backend).catch(failed));
    }
  }
  return results;
}

async function run(
  choice: BackendChoice,
  folder: string,
  reference: Reference,
  { threads, stageInputs, report, loras }: VerifyCommand & { loras: LocatedLora[] },
  loading: Pick<
    LoadOptions,
    'variant' | 'unet' | 'offload' | 'plannedFor' | 'onProgress' | 'signal'
  >,
): Promise<BackendResult> {
  const { name: backend, version, device } = await useBackend(choice, { threads });
  const pipe = await StableVideoDiffusionPipeline.fromPretrained(folder, { ...loading, backend });
  using _pipe = atEnd(() => pipe.dispose());
  await loadLoras(pipe, loras);
  const { onProgress, signal } = loading;
  let sheet: FramesSheet | undefined;
  const onCompared: VerifyOptions['onCompared'] = async (stage, own, diffusers) => {
    if (stage === 'frames' && report !== undefined) sheet = await framesSheet(own, diffusers);
  };
  const stages = await verifyReference(pipe, reference, {
    ...{ stageInputs, onCompared, onProgress, signal },
  });
  const firstBroken = stages.find(({ within }) => !within)?.stage;
  const within = firstBroken === undefined;
  return { backend, version, device, within, stages, firstBroken, sheet };
}
