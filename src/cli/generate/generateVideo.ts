/** The work of `svd generate`, from the check of its output to the writing. */
import { type BackendReport, useBackend } from '../../backends/index.ts';
import { halfGain, useFormulations } from '../../ops/index.ts';
import { unlessAborted } from '../../pipelines/turns.ts';
import type { Session } from '../terminal/session.ts';
import { readInputs } from './inputs.ts';
import type { GenerateCommand } from './options.ts';
import { type KeepRule, whileLong } from './resume/rule.ts';
import { checkWithModel, prepareCall, type Report, startCall } from './run/call.ts';
import { findModel, loadModel } from './run/model.ts';
import { fastCommand, fastNote } from './speed/fast.ts';
import { withoutEffect } from './withoutEffect.ts';

/**
 * Makes the video or videos.
 * @param isKept When the state of the call is kept. Default: while the call is long.
 * @throws Error with one sentence; Interrupted, with nothing half-written, once `session.signal`
 * has been aborted.
 */
export async function generateVideo(
  asked: GenerateCommand,
  session: Session,
  isKept: KeepRule = whileLong(session.progress),
): Promise<Report> {
  const backend = await chooseBackend(asked, session);
  const command = onBackend(asked, backend, session);
  const { images, latents } = command;
  using inputs = await unlessAborted(readInputs(images, latents), session.signal);
  const call = await prepareCall(command, inputs, session, isKept);
  const found = await findModel(command, session);
  await checkWithModel(call, found);
  using model = await loadModel(found, command, inputs.pictures, backend, session);
  const { options, finish } = await startCall(call, model, session);
  const { frames } = await model.pipe.generate(inputs.image, { ...options, returnDict: true });
  return await finish(frames);
}

/** Makes the backend of a call the current one. */
export async function chooseBackend(
  { backend: name, formulation, threads, tf32 }: GenerateCommand,
  { progress, note }: Session,
): Promise<BackendReport> {
  useFormulations(formulation);
  const backend = await useBackend(name, { threads, tf32 });
  progress.label = backend.name;
  progress.expect({ work: {} }); // there will be some, of which the plan tells
  if (backend.reason) note(`the ${backend.name} backend: ${backend.reason}`);
  return backend;
}

/** The call with what `--fast` chooses on its backend. Notes say that, and what has no effect. */
export function onBackend(
  asked: GenerateCommand,
  backend: BackendReport,
  { note }: Session,
): GenerateCommand {
  const command = fastCommand(asked, () => halfGain('bfloat16')?.pays ?? false);
  if (command.fast) note(fastNote(command));
  for (const text of withoutEffect(command, backend)) note(text);
  return command;
}
