/** Opens LoRA files behind URLs. */
import { shownAddress } from '../../text/addresses.ts';
import { PEFT_CONFIG, PEFT_WEIGHTS } from '../lora/names.ts';
import { readSafetensors, type SafetensorsFile } from '../safetensors/reader.ts';
import { WebFiles, type WebOptions } from './files.ts';
import { addressOf } from './weights.ts';

/** Options of reading a LoRA from a URL. */
export type OpenLoraUrlOptions = Pick<WebOptions, 'cache' | 'signal'>;

/**
 * Opens the `.safetensors` file at `url`, and peft's config beside it.
 * @throws CheckpointError if there is none, or it cannot be downloaded.
 */
export async function openLoraUrl(
  url: string,
  { cache, signal }: OpenLoraUrlOptions = {},
): Promise<{ source: SafetensorsFile; label: string; config?: Record<string, unknown> }> {
  const files = new WebFiles({ cache, signal });
  const address = addressOf(url);
  const beside = new URL(PEFT_CONFIG, address).href;
  const isOfPeft = address.split(/[?#]/)[0]!.endsWith(`/${PEFT_WEIGHTS}`);
  const config = isOfPeft && (await files.find(beside)) ? await files.json(beside) : undefined;
  return {
    source: await readSafetensors(await files.open(address)),
    label: shownAddress(url),
    config,
  };
}
