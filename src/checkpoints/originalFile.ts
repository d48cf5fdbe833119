/** Weights out of the original single-file checkpoints, under their names in diffusers and in its shapes. */
import { CheckpointError, listed } from './errors.ts';
import type { WeightedComponent } from './modelFiles.ts';
import { type OriginalLayout, type OriginalPlace, originalPlace } from './originalKeys.ts';
import type { SafetensorsFile } from './safetensorsReader.ts';
import { type TensorInfo, unknownTensor, type WeightSource } from './weightSource.ts';

/** What the files hold besides: the text half of CLIP, and the decoder and encoder that the other copy of the VAE has. */
const UNUSED =
  /^(conditioner\.embedders\.0\.open_clip\.model\.(?!visual\.)|conditioner\.embedders\.3\.encoder\.(decoder|post_quant_conv)\.|first_stage_model\.(encoder|quant_conv|post_quant_conv)\.|model_ema\.)/;

/** The name and the place of one weight that a file has. */
type Found = OriginalPlace & { name: string };

/**
 * A component's weights in an open original file, which stays open.
 * @throws CheckpointError if the file holds a model of another kind.
 */
export function originalSource(file: SafetensorsFile, component: WeightedComponent, layout: OriginalLayout): WeightSource {
  const present = new Set(file.names());
  const places = new Map<string, Found>();
  for (const key of possibleKeys(component, layout)) {
    const place = originalPlace(component, key, layout);
    const name = place.names.find((candidate) => present.has(candidate));
    if (name !== undefined) places.set(key, { ...place, name });
  }
  const place = (key: string) => places.get(key) ?? unknownTensor(key, component);
  const info = (key: string): TensorInfo => {
    const found = place(key);
    const { dtype, shape, bytes } = file.info(found.name);
    return { dtype, shape: shapeHere(found, shape), bytes: found.third === undefined ? bytes : bytes / 3 };
  };
  return {
    names: () => [...places.keys()],
    info,
    async read(key) {
      const found = place(key);
      const values = await file.read(found.name);
      if (found.third !== undefined) return values.slice((found.third * values.length) / 3, ((found.third + 1) * values.length) / 3);
      return found.transposed ? transposed(values, file.info(found.name).shape) : values;
    },
    async readBytes(key, target) {
      const found = place(key);
      if (found.third === undefined && !found.transposed) return file.readBytes(found.name, target);
      const bytes = await file.readRaw(found.name);
      const start = ((found.third ?? 0) * bytes.length) / 3;
      if (found.third !== undefined) target.set(bytes.subarray(start, start + target.length));
      else transposeBytes(bytes, file.info(found.name).shape, target);
    },
    close: async () => {},
  };
}

/** @throws CheckpointError if a file has weights that no Stable Video Diffusion model has, or none of its own. */
export function checkOriginal(file: SafetensorsFile, label: string, layout: OriginalLayout): void {
  const known = new Set<string>();
  for (const component of ['unet', 'vae', 'image_encoder'] as const) {
    for (const key of possibleKeys(component, layout)) for (const name of originalPlace(component, key, layout).names) known.add(name);
  }
  const names = file.names();
  if (!names.some((name) => name.startsWith('model.diffusion_model.'))) {
    throw new CheckpointError(
      `${label} is no original checkpoint of Stable Video Diffusion: it has no model.diffusion_model. Give svd_xt.safetensors or its like.`,
    );
  }
  if (!names.some((name) => name.includes('.time_stack.'))) {
    throw new CheckpointError(`${label} holds a model for pictures: it has no layers over time. Give a Stable Video Diffusion checkpoint.`);
  }
  const surplus = names.filter((name) => !known.has(name) && !UNUSED.test(name));
  if (surplus.length > 0) {
    throw new CheckpointError(
      `${label} has ${surplus.length} weights that a model of this config has no place for: ${listed(surplus, 5)}. Give the folder of its config.`,
    );
  }
}

/** Every name that a weight of a component may have; not all models have all of them. */
export function possibleKeys(component: WeightedComponent, layout: OriginalLayout): string[] {
  const range = (count: number) => Array.from({ length: count }, (_, i) => i);
  const both = (names: string[]) => names.flatMap((name) => [`${name}.weight`, `${name}.bias`]);
  const under = (prefixes: string[], names: string[]) => prefixes.flatMap((prefix) => names.map((name) => `${prefix}.${name}`));
  const plain = ['norm1', 'conv1', 'norm2', 'conv2', 'conv_shortcut'];
  const residual = [...both(under(['spatial_res_block', 'temporal_res_block'], [...plain, 'time_emb_proj'])), 'time_mixer.mix_factor'];
  if (component === 'image_encoder') {
    const layer = [
      'self_attn.q_proj',
      'self_attn.k_proj',
      'self_attn.v_proj',
      'self_attn.out_proj',
      'layer_norm1',
      'layer_norm2',
      'mlp.fc1',
      'mlp.fc2',
    ];
    return [
      'vision_model.embeddings.class_embedding',
      'vision_model.embeddings.patch_embedding.weight',
      'vision_model.embeddings.position_embedding.weight',
      ...both(['vision_model.pre_layrnorm']),
      ...under(
        range(layout.clipLayers).map((i) => `vision_model.encoder.layers.${i}`),
        both(layer),
      ),
      ...both(['vision_model.post_layernorm']),
      'visual_projection.weight',
    ];
  }
  const attentionOf = ['to_q', 'to_k', 'to_v', 'to_out.0'];
  if (component === 'vae') {
    const levels = range(layout.vaeLevels);
    const resnets = range(layout.vaeLayers + 1);
    const attention = both(['group_norm', ...attentionOf]);
    return [
      ...both(['encoder.conv_in', 'encoder.conv_norm_out', 'encoder.conv_out', 'quant_conv']),
      ...both(['decoder.conv_in', 'decoder.conv_norm_out', 'decoder.conv_out', 'decoder.time_conv_out']),
      ...under(['encoder.mid_block.attentions.0', 'decoder.mid_block.attentions.0'], attention),
      ...under(
        levels.flatMap((i) => resnets.map((j) => `encoder.down_blocks.${i}.resnets.${j}`)),
        both(plain),
      ),
      ...under(['encoder.mid_block.resnets.0', 'encoder.mid_block.resnets.1'], both(plain)),
      ...under(
        range(layout.vaeLayers + 1).map((j) => `decoder.mid_block.resnets.${j}`),
        residual,
      ),
      ...under(
        levels.flatMap((i) => resnets.map((j) => `decoder.up_blocks.${i}.resnets.${j}`)),
        residual,
      ),
      ...both(levels.flatMap((i) => [`encoder.down_blocks.${i}.downsamplers.0.conv`, `decoder.up_blocks.${i}.upsamplers.0.conv`])),
    ];
  }
  const levels = range(layout.layersPerBlock.length);
  const block = both([
    ...['norm1', 'norm2', 'norm3', 'norm_in'],
    ...under(['attn1', 'attn2'], attentionOf),
    ...under(['ff', 'ff_in'], ['net.0.proj', 'net.2']),
  ]);
  const transformer = [
    ...both(['norm', 'proj_in', 'proj_out', 'time_pos_embed.linear_1', 'time_pos_embed.linear_2']),
    'time_mixer.mix_factor',
    ...under(
      range(layout.transformerLayers).flatMap((d) => [`transformer_blocks.${d}`, `temporal_transformer_blocks.${d}`]),
      block,
    ),
  ];
  const places = [
    ...levels.flatMap((i) => range(layout.layersPerBlock[i]).map((j) => [`down_blocks.${i}`, j])),
    ...levels.flatMap((i) => range(layout.layersPerBlock.at(-1 - i)! + 1).map((j) => [`up_blocks.${i}`, j])),
    ...range(2).map((j) => ['mid_block', j]),
  ];
  return [
    ...both(['conv_in', 'conv_norm_out', 'conv_out']),
    ...both(under(['time_embedding', 'add_embedding'], ['linear_1', 'linear_2'])),
    ...under(
      places.map(([where, j]) => `${where}.resnets.${j}`),
      residual,
    ),
    ...under(
      places.filter(([where, j]) => where !== 'mid_block' || j === 0).map(([where, j]) => `${where}.attentions.${j}`),
      transformer,
    ),
    ...both(levels.flatMap((i) => [`down_blocks.${i}.downsamplers.0.conv`, `up_blocks.${i}.upsamplers.0.conv`])),
  ];
}

function shapeHere({ third, transposed, asConvolution }: OriginalPlace, shape: number[]): number[] {
  if (third !== undefined) return [shape[0] / 3, ...shape.slice(1)];
  if (transposed) return [...shape].reverse();
  return asConvolution && shape.length === 4 ? shape.slice(0, 2) : shape;
}

function transposed(values: Float32Array, [rows, columns]: number[]): Float32Array {
  const result = new Float32Array(values.length);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) result[column * rows + row] = values[row * columns + column];
  return result;
}

function transposeBytes(bytes: Uint8Array, [rows, columns]: number[], target: Uint8Array): void {
  const size = bytes.length / (rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const from = (row * columns + column) * size;
      target.set(bytes.subarray(from, from + size), (column * rows + row) * size);
    }
  }
}
