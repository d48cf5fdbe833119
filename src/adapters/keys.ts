/** The names of tensors in LoRA files, in the layouts of diffusers, peft and kohya. */

/** What a tensor is of the LoRA of a layer. */
export type LoraPart = 'down' | 'up' | 'alpha';

/** A tensor's name, taken apart. */
export interface LoraKey {
  /** What names the layer, with a prefix. */
  stem: string;
  part: LoraPart;
}

/**
 * The ends of names. peft: `.lora_A.weight`, with the name of the adapter in between or not;
 * diffusers: `.lora.down.weight`, and `to_q_lora.down.weight` of its oldest versions; kohya:
 * `.lora_down.weight` and `.alpha`.
 */
const ENDS: [RegExp, LoraPart][] = [
  [/(^|\.)lora_A(\.[^.]+)?\.weight$/, 'down'],
  [/(^|\.)lora_B(\.[^.]+)?\.weight$/, 'up'],
  [/(^|\.)lora_down\.weight$/, 'down'],
  [/(^|\.)lora_up\.weight$/, 'up'],
  [/(^|[._])lora(_linear_layer)?\.down\.weight$/, 'down'],
  [/(^|[._])lora(_linear_layer)?\.up\.weight$/, 'up'],
  [/(^|[._])(lora\.)?alpha$/, 'alpha'],
];

/** Takes the name of a tensor apart; undefined if it is not of a LoRA. */
export function loraKey(name: string): LoraKey | undefined {
  for (const [end, part] of ENDS) {
    const stem = name.replace(end, '');
    if (stem !== name) return { stem, part };
  }
  return undefined;
}

/** Tensors of kinds of adapters that are no plain LoRA, by the names of these kinds. */
const OTHERS: [RegExp, string][] = [
  [/(^|\.)(lora_magnitude_vector|dora_scale)\b/, 'DoRA'],
  [/(^|\.)hada_/, 'LoHa'],
  [/(^|\.)lokr_/, 'LoKr'],
  [/(^|\.)(b?oft_|oft_R\b)/, 'OFT'],
  [/(^|\.)(ia3_l|on_input$)/, 'IA3'],
  [/(^|\.)vera_lambda_/, 'VeRA'],
  [/(^|\.)lora_mid\.weight$/, 'LoCon with a middle matrix'],
  [/(^|\.)(lora_B(\.[^.]+)?|lora_up|lora\.up)\.bias$/, 'LoRA with biases'],
  [/(^|\.)(diff|diff_b|w_norm|b_norm)$/, 'whole differences of weights'],
];

/** The kind of adapter that a tensor is of, if it is another one than LoRA. */
export const otherKind = (name: string): string | undefined =>
  OTHERS.find(([pattern]) => pattern.test(name))?.[1];

/** Whether a tensor is of a text encoder, which Stable Video Diffusion has not. */
export const isOfTextEncoder = (name: string): boolean =>
  /^(base_model\.model\.)?(lora_te\d*_|text_encoder(_\d+)?\.|text_model\.)/.test(name);

/** What stands before the path of a layer. */
const PREFIX = /^(base_model\.model\.)?(unet\.|(model\.)?diffusion_model\.|lora_unet_)?/;

/**
 * Finds layers by what names them in LoRA files: their path, with dots or as in kohya's files with
 * `_`, or another name that they have.
 */
export class LayerNames {
  private readonly paths = new Map<string, string>();

  /**
   * @param paths The paths of the layers.
   * @param othersOf Other names of the layer at a path, such as that in original files.
   */
  constructor(paths: Iterable<string>, othersOf: (path: string) => string[] = () => []) {
    for (const path of paths) {
      const names = [path, ...othersOf(path)];
      const short = names.map((name) => name.replace(/\.to_out\.0$/, '.to_out'));
      for (const name of new Set([...names, ...short])) {
        this.paths.set(name, path);
        this.paths.set(name.replaceAll('.', '_'), path);
      }
    }
  }

  /** The path of the layer that a stem names; undefined if there is none. */
  find(stem: string): string | undefined {
    const name = stem.replace('.processor.', '.');
    return this.paths.get(name) ?? this.paths.get(name.replace(PREFIX, ''));
  }
}
