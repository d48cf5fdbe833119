/** Checks what several options of `svd generate` have to agree on. */
import { hubOnly } from '../../checkpoints/hub/locate.ts';
import { STANDARD } from '../../files/writing/target.ts';
import { type OutputFormat, outputFormat } from '../../media/video/output.ts';
import { checkSigmas } from '../../schedulers/customSchedule.ts';
import { ANIMATELCM_STEPS } from '../../schedulers/names.ts';
import { kebabCase } from '../../text/cases.ts';
import { hasEnding } from '../../text/endings.ts';
import { messageOf } from '../../text/messages.ts';
import { UsageError } from '../terminal/errors.ts';
import type { Values } from '../terminal/options.ts';
import { defaultOutput } from './defaultOutput.ts';
import type { GenerateCommand, generateOptions } from './options.ts';

/**
 * The call that options and pictures make.
 * @throws UsageError if they do not go together.
 */
export function generateCommand(
  values: Values<typeof generateOptions>,
  images: string[],
): GenerateCommand {
  const { dump, outputType, fps, encoder } = values;
  if (images.length === 0)
    throw new UsageError(
      'an IMAGE is required: a path, a URL or a .safetensors file. See svd generate --help.',
    );
  const tensors = images.find((image) => hasEnding(image, '.safetensors'));
  if (tensors !== undefined && images.length > 1)
    throw new UsageError(`${tensors} has to be the only IMAGE: its tensor holds a whole batch.`);
  if (images.filter((image) => image === STANDARD).length > 1)
    throw new UsageError('- is given twice, but standard input holds one picture.');
  const needed = outputType === 'latent' ? 'safetensors' : values.format;
  const output = values.output ?? defaultOutput(images[0], needed);
  const format = formatOf(output, values.format);
  const command: GenerateCommand = { ...values, output, images, format };
  if (outputType === 'latent' && format !== 'safetensors') {
    throw new UsageError(
      `--output-type latent needs an --output that ends with .safetensors but it is "${output}".`,
    );
  }
  if (values.model === undefined) {
    const ofModel = (['variant', 'config', ...hubOnly] as const).find(
      (name) => values[name] !== undefined,
    );
    if (ofModel !== undefined)
      throw new UsageError(`--${kebabCase(ofModel)} says more about a model: add --model.`);
  }
  if (format === 'gif' && fps > 50)
    throw new UsageError(`--fps has to be from 1 to 50 for a GIF but is "${fps}".`);
  if (encoder !== 'auto' && format !== 'mp4' && format !== 'webm')
    throw new UsageError(`--encoder ${encoder} is for .mp4 and .webm but the format is ${format}.`);
  checkSampling(values);
  if (dump === output)
    throw new UsageError(`--dump and --output have to be two files but both are "${output}".`);
  checkBackend(command);
  return command;
}

/** What is wrong with a call that says its noise levels twice. */
export const TWO_SCHEDULES = '--sigmas and --schedule are two schedules: pass one of them.';

/**
 * Checks that the sampler, if one is named, can do the steps.
 * @throws UsageError if it cannot.
 */
export function checkSampling(
  values: Pick<GenerateCommand, 'sigmas' | 'schedule' | 'scheduler' | 'numInferenceSteps' | 'fast'>,
): void {
  const { sigmas, schedule, scheduler, numInferenceSteps } = values;
  if (sigmas && schedule) throw new UsageError(TWO_SCHEDULES);
  if (sigmas) checkLevels(sigmas);
  if (scheduler !== 'animatelcm') return;
  if (values.fast) throw new UsageError(NOT_FAST);
  const levels = sigmas ? '--sigmas' : schedule && '--schedule';
  if (levels)
    throw new UsageError(
      `${levels} is not for --scheduler animatelcm, whose model knows the noise levels of its ` +
        'training: use --num-inference-steps.',
    );
  if (numInferenceSteps > ANIMATELCM_STEPS)
    throw new UsageError(
      `--num-inference-steps has to be at most ${ANIMATELCM_STEPS} with --scheduler animatelcm ` +
        `but is ${numInferenceSteps}. Usual are 4 to 8.`,
    );
}

/** What is wrong with `--fast` and the sampler of AnimateLCM. */
export const NOT_FAST =
  '--fast is for samplers that take 25 steps, but animatelcm needs 4 to 8 as it is: leave out ' +
  '--fast.';

function checkLevels(sigmas: number[]): void {
  try {
    checkSigmas(sigmas);
  } catch (error) {
    throw new UsageError(messageOf(error).replace('`sigmas`', '--sigmas'));
  }
  const next = sigmas.findIndex(
    (sigma, i) => i > 0 && Math.fround(sigma) >= Math.fround(sigmas[i - 1]),
  );
  if (next > 0)
    throw new UsageError(
      `--sigmas has to descend, but ${sigmas[next]} comes after ${sigmas[next - 1]}.`,
    );
}

/** Checks that the backend, if one is named, is the one that the other options are for. */
function checkBackend({ backend, threads, dtype, tf32, formulation }: GenerateCommand): void {
  const refuse = (option: string, owner: string) => {
    if (backend === 'auto' || backend === owner) return;
    if (backend === 'cuda' && owner === 'tensorflow') return;
    throw new UsageError(`${option} is for the ${owner} backend but --backend is ${backend}.`);
  };
  if (threads !== undefined) refuse('--threads', 'wasm');
  if (dtype !== undefined && dtype !== 'float32') refuse(`--dtype ${dtype}`, 'tensorflow');
  if (tf32) refuse('--tf32', 'tensorflow');
  if (formulation === 'gpu') refuse('--formulation gpu', 'tensorflow');
}

function formatOf(output: string, format?: OutputFormat): OutputFormat {
  try {
    return outputFormat(output, format);
  } catch (error) {
    throw new UsageError(messageOf(error));
  }
}
