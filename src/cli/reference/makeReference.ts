/** The work of `svd reference`: checks everything, then lets Python do it. */
import { mkdir, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { runTool } from '../../backends/tool.ts';
import type { OtherUnet } from '../../checkpoints/checkpoint.ts';
import { openCheckpoint } from '../../checkpoints/index.ts';
import type { Located } from '../../checkpoints/unet/locate.ts';
import { existingPath } from '../../files/existingPath.ts';
import { localPath } from '../../files/localPath.ts';
import { writeAtomically } from '../../files/writing/atomic.ts';
import { withTemporary } from '../../files/writing/temporary.ts';
import { checkOutput } from '../../media/video/output.ts';
import { copyForPeft, type LorasFor } from '../../pipelines/lora/files.ts';
import { alignYourSteps, schedulerByName } from '../../schedulers/index.ts';
import { shownAddress } from '../../text/addresses.ts';
import { kebabCase } from '../../text/cases.ts';
import { TWO_SCHEDULES } from '../generate/checkCommand.ts';
import { checkKept, filesOfModels } from '../generate/checkPlaces.ts';
import { locate } from '../hubModel.ts';
import { describeLoras, type LocatedLora, locateLoras } from '../lora.ts';
import { UsageError } from '../terminal/errors.ts';
import { flagOf, type Options } from '../terminal/options.ts';
import type { Session } from '../terminal/session.ts';
import type { Seed } from '../terminal/values.ts';
import { checkPython, setUpPython } from './environment.ts';
import { callOptions, type ReferenceCommand } from './options.ts';
import { script } from './pinned.ts';

/**
 * Makes the reference.
 * @throws UsageError if options do not go together; Error with one sentence before Python starts if
 * an input is missing or the output cannot be written; what Python fails with; Interrupted.
 */
export async function makeReference(command: ReferenceCommand, session: Session): Promise<void> {
  checkOptions(command);
  const { signal, note, progress } = session;
  const images = await Promise.all(command.images.map(pictureOf));
  await checkOutput(command.output);
  const output = { role: '--output', path: command.output };
  await checkKept(
    output,
    images.map((path) => ({ role: 'an IMAGE', path })),
  );

  const onProgress = progress.update;
  const located = await locate(command.model, command, { signal, onProgress });
  const { path: folder } = located;
  const unet = await checkModel(located, command);
  const loras = await locateLoras(command, { signal, onProgress });
  const files = loras.map(({ path }) => path);
  await checkKept(output, await filesOfModels([folder, unet?.path ?? [], files].flat()));

  const setup = { note, signal, withLora: loras.length > 0 };
  if (command.python !== undefined) await checkPython(command.python, setup);
  const python = command.python ?? (await setUpPython(setup));
  note('diffusers computes the reference');
  await writeAtomically(
    command.output,
    (temporary) =>
      withTemporary(tmpdir(), async (cwd) => {
        await mkdir(cwd);
        const { variant } = command;
        const opened = { model: folder, opening: { variant, unet: located.unet } };
        const ofLoras = loras.length === 0 ? [] : await loraArguments(loras, opened, cwd);
        const names = ['--model', resolve(folder), '--output', resolve(temporary), ...ofLoras];
        const others = { unet: unet?.path, unetConfig: unet?.config?.file };
        const args = ['-I', script, ...images, ...names, ...argumentsFor(command, others)];
        const env = { ...process.env, HF_HUB_OFFLINE: '1' }; // all files are here
        await runTool(python, args, {
          cwd,
          env,
          signal,
          onLine: (line) => showStep(line, session),
        });
      }),
    signal,
  );
}

function checkOptions(command: ReferenceCommand): void {
  const { images, numVideosPerPrompt, device, python, scheduler, sigmas, schedule } = command;
  if (sigmas && schedule) throw new UsageError(TWO_SCHEDULES);
  if (scheduler !== undefined) checkSampler(command, schedulerByName(scheduler).toConfig());
  if (images.includes('-'))
    throw new UsageError('svd reference takes the path or URL of a picture, not standard input.');
  if (images.length > 1 && numVideosPerPrompt > 1)
    throw new UsageError(
      'diffusers mixes up the latents of several pictures with several videos each. Pass one ' +
        'picture, or leave out --num-videos-per-prompt.',
    );
  if (device !== 'cpu' && python === undefined)
    throw new UsageError(
      `--device ${device} needs --python: the environment of svd reference has a torch for ` +
        'processors.',
    );
}

/** Checks that diffusers has the sampler of a config, and that it can follow the noise levels. */
function checkSampler(
  { scheduler, sigmas, schedule }: ReferenceCommand,
  { _class_name: name }: Record<string, unknown>,
): void {
  const [asked, wayOut] =
    scheduler === undefined
      ? [`the model's ${name}`, 'add --scheduler euler, or leave it out']
      : [`--scheduler ${scheduler}`, 'leave out one of them'];
  if (`${name}`.startsWith('AnimateLCM'))
    throw new UsageError(`${asked} is not in diffusers: pass another --scheduler.`);
  const levels = sigmas ? '--sigmas' : schedule && '--schedule';
  if (levels && name !== 'EulerDiscreteScheduler')
    throw new UsageError(`In diffusers, ${asked} takes no ${levels}: ${wayOut}.`);
}

/** The whole path of a picture; an URL as it is. @throws Error if there is no such file. */
async function pictureOf(source: string): Promise<string> {
  if (/^https?:/i.test(source)) return source;
  const path = await existingPath(resolve(localPath(source)));
  if ((await stat(path).catch(() => undefined))?.isFile()) return path;
  throw new Error(
    `There is no picture "${shownAddress(source)}" (looked at ${path}). Check the path.`,
  );
}

/** The UNet that replaces the model's own, if one does. */
async function checkModel(
  { path, unet }: Located,
  command: ReferenceCommand,
): Promise<OtherUnet | undefined> {
  const { model, variant } = command;
  await using checkpoint = await openCheckpoint(path, { variant, unet });
  if (checkpoint.unet?.isOfDiffusers === false)
    throw new UsageError(
      `${unet} is not in diffusers' format and names, which Python needs. Put both into one ` +
        `checkpoint by \`svd convert ${model} FOLDER/ --unet ${unet} --to diffusers\`.`,
    );
  if (checkpoint.format === 'diffusers') {
    if (command.scheduler === undefined) checkSampler(command, checkpoint.config('scheduler'));
    await checkpoint.files();
    if (checkpoint.unet) await checkpoint.weights('unet');
    return checkpoint.unet;
  }
  throw new UsageError(
    `${model} is not in diffusers format, which Python needs. Convert it by \`svd convert ` +
      `${model} FOLDER/ --to diffusers\`.`,
  );
}

/** The arguments of dump_reference.py on LoRA, whose copies in the names of peft are in `folder`. */
async function loraArguments(
  loras: LocatedLora[],
  opened: Omit<LorasFor, 'loras'>,
  folder: string,
): Promise<string[]> {
  const copy = (i: number) => join(folder, `lora-${i}.safetensors`);
  await copyForPeft({ ...opened, loras: loras.map(({ path }) => path) }, copy);
  const descriptions = JSON.stringify(await describeLoras(loras));
  return [
    ...loras.map(({ scale }, i) => `--lora=${copy(i)}=${scale}`),
    `--lora-files=${descriptions}`,
  ];
}

/** The arguments of dump_reference.py that say what to compute. */
function argumentsFor(
  command: ReferenceCommand,
  files: Record<string, string | undefined>,
): string[] {
  const { model: modelName, variant, device, blocks, blockStep, schedule } = command;
  const levels = schedule && { sigmas: alignYourSteps(command.numInferenceSteps) };
  const scheduler =
    command.scheduler && JSON.stringify(schedulerByName(command.scheduler).toConfig());
  const options: Options = callOptions;
  const call = Object.keys(callOptions).map((name): [string, unknown] => [
    flagOf(name, options[name]),
    { ...command, ...levels }[name as keyof typeof callOptions],
  ]);
  const absolute = Object.entries(files).map(([name, file]) => [name, file && resolve(file)]);
  const others = {
    ...Object.fromEntries(absolute),
    modelName,
    scheduler,
    variant,
    device,
    blocks: blockStep ?? (blocks ? 0 : undefined),
  };
  const all = [...call, ...Object.entries(others)];
  return all.flatMap(([name, value]) => {
    const values = name === 'seed' ? (value as Seed[]) : [value].filter((one) => one !== undefined);
    return values.map((one) => `--${kebabCase(name)}=${one}`);
  });
}

/** Shows where diffusers is, when `line` says so. */
function showStep(line: string, { progress }: Session): void {
  const [, stage, step, steps] = /^(\w+): step (\d+) of (\d+)$/.exec(line) ?? [];
  if (stage !== undefined) progress.update({ stage, step: Number(step), steps: Number(steps) });
}
