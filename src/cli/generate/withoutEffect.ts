/** Finds options that change nothing of a call, so that nobody relies on them. */
import type { BackendReport } from '../../backends/types.ts';
import { flagOf, type Option, placeholderOf } from '../terminal/options.ts';
import { type GenerateCommand, generateOptions } from './options.ts';

type Reason = (command: GenerateCommand, backend: BackendReport) => string | false;

/** Whether a call has no guidance. */
export const isUnguided = ({
  minGuidanceScale,
  maxGuidanceScale,
  numFrames,
}: Pick<GenerateCommand, 'minGuidanceScale' | 'maxGuidanceScale' | 'numFrames'>): boolean =>
  minGuidanceScale <= 1 && (maxGuidanceScale <= 1 || numFrames === 1);
const notOn =
  (...owners: string[]): Reason =>
  (_, { name }) =>
    !owners.includes(name) && `the backend is ${name}`;
const latentsOnly: Reason = ({ outputType }) =>
  outputType === 'latent' && 'latents are not decoded';

/** Why an option has no effect, by its name. */
const reasons: Partial<Record<keyof typeof generateOptions, Reason>> = {
  numInferenceSteps: ({ sigmas }) => sigmas !== undefined && '--sigmas says the steps',
  maxGuidanceScale: ({ numFrames }) => numFrames === 1 && 'it is for the last of several frames',
  guidanceTogether: (command) => isUnguided(command) && 'guidance is off',
  guidanceInterval: (command) => isUnguided(command) && 'guidance is off',
  deepCache: ({ deepCache }) => deepCache?.interval === 1 && 'every step runs in full',
  decodeChunkSize: latentsOnly,
  quality: ({ format }) => ['png', 'safetensors'].includes(format) && `${format} loses nothing`,
  fps: ({ format }) =>
    ['png', 'safetensors'].includes(format) && `but on the motion: ${format} has no rate`,
  outputType: ({ outputType, format }) =>
    outputType !== 'latent' && format !== 'safetensors' && `a file of ${format} holds pictures`,
  threads: notOn('wasm'),
  weightDtype: notOn('tensorflow', 'webgpu'),
  tf32: (_, { name, device = '' }) =>
    (name !== 'tensorflow' || !/NVIDIA|GeForce|RTX|Tesla|CUDA|GPU/i.test(device)) &&
    'the backend does not run on an NVIDIA card',
};

/** A sentence for each option that differs from its default and changes nothing. */
export function withoutEffect(command: GenerateCommand, backend: BackendReport): string[] {
  return Object.entries(reasons).flatMap(([name, reasonOf]) => {
    const option: Option = generateOptions[name as keyof typeof reasons];
    const value = command[name as keyof typeof reasons];
    const usual = placeholderOf(option) === undefined ? false : option.default;
    if (value === undefined || value === usual) return [];
    const reason = reasonOf(command, backend);
    return reason === false
      ? []
      : [
          `--${flagOf(name, option)} has no effect${reason.startsWith('but') ? ' ' : ': '}${reason}`,
        ];
  });
}
