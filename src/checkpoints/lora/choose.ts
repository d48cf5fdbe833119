/** Which of the files of a folder or repository is the LoRA that is meant. */
import { CheckpointError, listed } from '../errors.ts';
import { pickleRefusal } from '../otherModels.ts';
import type { Place } from '../unet/choose.ts';
import { PEFT_WEIGHTS } from './names.ts';

/** The names that diffusers and peft give their files. */
const USUAL = ['pytorch_lora_weights.safetensors', PEFT_WEIGHTS];

/**
 * The file of a LoRA: `path` itself if it is a file; in a folder that of a usual name, or the only
 * one.
 * @param path A file or folder among the paths; empty for all of them.
 * @throws CheckpointError that names what there is, if there is none or several.
 */
export function chooseLora({ label, paths }: Place, path: string): string {
  if (paths.includes(path)) return path;
  const top = path === '' ? '' : `${path}/`;
  const inside = paths.filter((one) => one.startsWith(top)).map((one) => one.slice(top.length));
  const usual = USUAL.find((name) => inside.includes(name));
  if (usual !== undefined) return top + usual;
  const found = inside.filter((one) => /\.safetensors$/i.test(one));
  if (found.length === 1) return top + found[0];
  const where = path === '' ? label : `${label}/${path}`;
  if (found.length > 1)
    throw new CheckpointError(
      `${where} has several files of weights: ${listed(found)}. Name one of them, such as ` +
        `${where}/${found[0]}.`,
    );
  const pickle = inside.find((one) => /\.(bin|ckpt|pt|pth)$/i.test(one));
  if (pickle !== undefined) throw new CheckpointError(pickleRefusal(`${where}/${pickle}`));
  throw new CheckpointError(`${where} has no LoRA: it has no .safetensors file.`);
}
