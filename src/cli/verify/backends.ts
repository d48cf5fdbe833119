/** The work of `svd verify`: one backend after the other. */
import { listBackends, useBackend } from '../../backends/index.ts';
import {
  type CheckpointIdentity,
  identifyCheckpoint,
  openSafetensors,
} from '../../checkpoints/index.ts';
import { MemoryError } from '../../memory/errors.ts';
import { useFormulations } from '../../ops/index.ts';
import { StableVideoDiffusionPipeline } from '../../pipelines/node.ts';
import { messageOf } from '../../text/messages.ts';
import {
  checkSameCheckpoint,
  type Reference,
  readReference,
} from '../../verification/reference.ts';
import { type StageResult, verifyReference } from '../../verification/verify.ts';
import { folderOf } from '../hubModel.ts';
import type { Session } from '../terminal/session.ts';
import type { VerifyCommand } from './command.ts';

/** What one backend gave. */
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
}

/** What was compared with what, and what came of it. */
export interface Verification {
  /** The checkpoint, whose weights are those of the reference. */
  checkpoint: CheckpointIdentity;
  /** Versions of the libraries that made the reference. */
  referenceVersions: Record<string, string>;
  /** One for each backend that was asked for. */
  results: BackendResult[];
}

/**
 * Verifies on the backend or backends that were asked for. With `all`, one that cannot be used or
 * has too little memory is told and passed over.
 * @throws If the reference cannot be read or is of another checkpoint; for a single backend, if it
 * cannot be used.
 */
export async function verifyBackends(
  command: VerifyCommand,
  watch: Session,
): Promise<Verification> {
  const { signal, progress } = watch;
  const file = await openSafetensors(command.reference);
  try {
    const reference = await readReference(file, command.reference);
    const variant = command.variant ?? reference.checkpoint.variant ?? undefined;
    const onProgress = progress.update.bind(progress);
    const folder = await folderOf(command.model, { ...command, variant }, { signal, onProgress });
    const checkpoint = await identifyCheckpoint(folder, { variant, signal });
    checkSameCheckpoint(reference, checkpoint.files);
    const given = { checkpoint, referenceVersions: reference.versions };
    useFormulations(command.formulation);
    const plannedFor = { ...reference.call, pictures: reference.pictures.length };
    const loading = { variant, offload: command.offload, plannedFor, onProgress, signal };
    if (command.backend !== 'all') {
      return {
        ...given,
        results: [await verifyOn(command.backend, folder, reference, command, loading)],
      };
    }
    const results: BackendResult[] = [];
    for (const { name, available, reason: why } of await listBackends()) {
      if (!available) results.push({ backend: name, within: true, problem: `passed over. ${why}` });
      else {
        const failed = (error: unknown): BackendResult => {
          signal.throwIfAborted();
          const passedOver = error instanceof MemoryError;
          return {
            backend: name,
            within: passedOver,
            problem: `${passedOver ? 'passed over. ' : ''}${messageOf(error)}`,
          };
        };
        results.push(await verifyOn(name, folder, reference, command, loading).catch(failed));
      }
    }
    return { ...given, results };
  } finally {
    await file.close();
  }
}

async function verifyOn(
  choice: Parameters<typeof useBackend>[0],
  folder: string,
  reference: Reference,
  { threads, stageInputs }: VerifyCommand,
  loading: Pick<
    Parameters<typeof StableVideoDiffusionPipeline.fromPretrained>[1] & object,
    'variant' | 'offload' | 'plannedFor' | 'onProgress' | 'signal'
  >,
): Promise<BackendResult> {
  const { name: backend, version, device } = await useBackend(choice, { threads });
  const pipe = await StableVideoDiffusionPipeline.fromPretrained(folder, { ...loading, backend });
  try {
    const { onProgress, signal } = loading;
    const stages = await verifyReference(pipe, reference, { stageInputs, onProgress, signal });
    const firstBroken = stages.find(({ within }) => !within)?.stage;
    return { backend, version, device, within: firstBroken === undefined, stages, firstBroken };
  } finally {
    pipe.dispose();
  }
}
