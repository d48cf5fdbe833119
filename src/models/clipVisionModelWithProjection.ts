/**
 * The image encoder, mirroring `CLIPVisionModelWithProjection` of transformers'
 * `models/clip/modeling_clip.py`.
 */
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import { type Checks, indivisible, layerCountOrNone } from '../layers/checks.ts';
import {
  Block,
  type CallArgs,
  Conv2d,
  type Inputs,
  type LayerArgs,
  LayerNorm,
  Linear,
  type Steps,
  StepwiseBlock,
  TensorScope,
  weightOf,
} from '../layers/index.ts';
import { registerLayer } from '../layers/registry.ts';
import { type ActivationName, activations, attention, queryScale } from '../ops/index.ts';
import { number, whole } from '../text/kinds.ts';
import { channels } from './perBlock.ts';

/**
 * The keys of `image_encoder/config.json` in camelCase; defaults are transformers' class defaults.
 */
export interface CLIPVisionConfig extends LayerArgs {
  /** Default 768. */
  hiddenSize?: number;
  /** Default 3072. */
  intermediateSize?: number;
  /** Default 512. */
  projectionDim?: number;
  /** Default 12. */
  numHiddenLayers?: number;
  /** Default 12. */
  numAttentionHeads?: number;
  /** Default 3. */
  numChannels?: number;
  /** Side of the square input in pixels. Default 224. */
  imageSize?: number;
  /** Side of a patch in pixels. Default 32. */
  patchSize?: number;
  /** Default `quick_gelu`. */
  hiddenAct?: ActivationName;
  /** Default 1e-5. */
  layerNormEps?: number;
}

/** Patches, class token and positions: `[N, S, S, channels]` -> `[N, 1 + patches, hiddenSize]`. */
class CLIPVisionEmbeddings extends Block<
  Required<Pick<CLIPVisionConfig, 'hiddenSize' | 'numChannels' | 'imageSize' | 'patchSize'>> &
    LayerArgs
> {
  static className = 'CLIPVisionEmbeddings';
  private classEmbedding!: tfl.LayerVariable;
  private readonly patchEmbedding: Conv2d;
  private positionEmbedding!: tfl.LayerVariable;

  constructor(args: CLIPVisionEmbeddings['args']) {
    super(args);
    const { hiddenSize: outChannels, numChannels: inChannels, patchSize } = args;
    this.patchEmbedding = this.child(
      new Conv2d({
        name: 'patch_embedding',
        inChannels,
        outChannels,
        kernelSize: patchSize,
        stride: patchSize,
        bias: false,
      }),
    );
  }

  protected override buildSelf(): void {
    const { hiddenSize, imageSize, patchSize } = this.args;
    const normal = tfl.initializers.randomNormal({ mean: 0, stddev: 0.02 });
    const patches = Math.floor(imageSize / patchSize) ** 2;
    this.classEmbedding = this.parameter('class_embedding', [hiddenSize], 'same', normal);
    this.positionEmbedding = this.parameter(
      'position_embedding.weight',
      [1 + patches, hiddenSize],
      'same',
      normal,
    );
  }

  protected forward([pixels]: tf.Tensor[]): tf.Tensor {
    const { hiddenSize, imageSize } = this.args;
    const [n, height, width] = pixels.shape;
    if (height !== imageSize || width !== imageSize) {
      throw new Error(
        `Input image size (${height}*${width}) doesn't match model (${imageSize}*${imageSize}).`,
      );
    }
    const patches = tf.reshape(this.patchEmbedding.call(pixels), [n, -1, hiddenSize]);
    const classToken = tf.tile(tf.reshape(weightOf(this.classEmbedding), [1, 1, hiddenSize]), [
      n,
      1,
      1,
    ]);
    return tf.add(tf.concat([classToken, patches], 1), weightOf(this.positionEmbedding));
  }

  override computeOutputShape([n]: number[]): tfl.Shape {
    const { hiddenSize, imageSize, patchSize } = this.args;
    return [n, 1 + Math.floor(imageSize / patchSize) ** 2, hiddenSize];
  }
}
registerLayer(CLIPVisionEmbeddings);

type EncoderLayerArgs = Required<
  Pick<
    CLIPVisionConfig,
    'hiddenSize' | 'intermediateSize' | 'numAttentionHeads' | 'hiddenAct' | 'layerNormEps'
  >
> &
  LayerArgs;

/** One pre-norm transformer layer: `[N, T, hiddenSize]` -> the same. */
class CLIPEncoderLayer extends Block<EncoderLayerArgs> {
  static className = 'CLIPEncoderLayer';
  private readonly projections: Linear[];
  private readonly outProj: Linear;
  private readonly layerNorm1: LayerNorm;
  private readonly fc1: Linear;
  private readonly fc2: Linear;
  private readonly layerNorm2: LayerNorm;

  constructor(args: EncoderLayerArgs) {
    super(args);
    const { hiddenSize, intermediateSize, layerNormEps: eps } = args;
    const linear = (name: string, inFeatures: number, outFeatures: number) =>
      this.child(new Linear({ name, inFeatures, outFeatures }));
    this.projections = ['q', 'k', 'v'].map((part) =>
      linear(`self_attn.${part}_proj`, hiddenSize, hiddenSize),
    );
    this.outProj = linear('self_attn.out_proj', hiddenSize, hiddenSize);
    this.layerNorm1 = this.child(
      new LayerNorm({ name: 'layer_norm1', numChannels: hiddenSize, eps }),
    );
    this.fc1 = linear('mlp.fc1', hiddenSize, intermediateSize);
    this.fc2 = linear('mlp.fc2', intermediateSize, hiddenSize);
    this.layerNorm2 = this.child(
      new LayerNorm({ name: 'layer_norm2', numChannels: hiddenSize, eps }),
    );
  }

  protected forward([x]: tf.Tensor[]): tf.Tensor {
    const attended = tf.tidy(() => {
      const normed = this.layerNorm1.call(x);
      const { hiddenSize, numAttentionHeads: heads } = this.args;
      const [toQ, toK, toV] = this.projections;
      const projections = {
        q: () => toQ.scaled(normed, queryScale(hiddenSize / heads)),
        k: () => toK.call(normed),
        v: () => toV.call(normed),
      };
      return tf.add(x, this.outProj.call(attention(projections, heads)));
    });
    const activation = activations[this.args.hiddenAct];
    return tf.add(
      attended,
      this.fc2.call(activation(this.fc1.call(this.layerNorm2.call(attended)))),
    );
  }
}
registerLayer(CLIPEncoderLayer);

/**
 * Inputs `[pixels [N, imageSize, imageSize, numChannels]]`, normalised by the feature extractor
 * -> `[imageEmbeds [N, projectionDim], lastHiddenState [N, 1 + patches, hiddenSize]]`; the latter
 * is not normalised.
 */
export class CLIPVisionModelWithProjection extends StepwiseBlock<CLIPVisionConfig, tf.Tensor[]> {
  static className = 'CLIPVisionModelWithProjection';
  static override ignoresOthers = true;
  static override checks: Checks = {
    hiddenSize: channels,
    intermediateSize: whole(1, 2 ** 18),
    projectionDim: channels,
    numHiddenLayers: layerCountOrNone,
    numAttentionHeads: channels,
    numChannels: channels,
    imageSize: whole(1, 4096),
    patchSize: whole(1, 4096),
    hiddenAct: { oneOf: Object.keys(activations) },
    layerNormEps: number({ min: 0, max: 1 }),
  };
  private readonly embeddings: CLIPVisionEmbeddings;
  private readonly preLayerNorm: LayerNorm;
  private readonly layers: CLIPEncoderLayer[];
  private readonly postLayerNorm: LayerNorm;
  private readonly visualProjection: Linear;

  constructor(config: CLIPVisionConfig = {}) {
    super(config);
    const {
      hiddenSize,
      intermediateSize,
      numAttentionHeads,
      numHiddenLayers,
      numChannels,
      imageSize,
      patchSize,
    } = this.config;
    const { hiddenAct, layerNormEps: eps, projectionDim } = this.config;
    this.embeddings = this.child(
      new CLIPVisionEmbeddings({
        name: 'vision_model.embeddings',
        hiddenSize,
        numChannels,
        imageSize,
        patchSize,
      }),
    );
    // The misspelling is the checkpoints'.
    this.preLayerNorm = this.child(
      new LayerNorm({ name: 'vision_model.pre_layrnorm', numChannels: hiddenSize, eps }),
    );
    this.layers = Array.from({ length: numHiddenLayers }, (_, i) =>
      this.child(
        new CLIPEncoderLayer({
          name: `vision_model.encoder.layers.${i}`,
          hiddenSize,
          intermediateSize,
          numAttentionHeads,
          hiddenAct,
          layerNormEps: eps,
        }),
      ),
    );
    this.postLayerNorm = this.child(
      new LayerNorm({ name: 'vision_model.post_layernorm', numChannels: hiddenSize, eps }),
    );
    this.visualProjection = this.child(
      new Linear({
        name: 'visual_projection',
        inFeatures: hiddenSize,
        outFeatures: projectionDim,
        bias: false,
      }),
    );
  }

  override get config() {
    return {
      hiddenSize: 768,
      intermediateSize: 3072,
      projectionDim: 512,
      numHiddenLayers: 12,
      numAttentionHeads: 12,
      numChannels: 3,
      imageSize: 224,
      patchSize: 32,
      hiddenAct: 'quick_gelu' as ActivationName,
      layerNormEps: 1e-5,
      ...this.args,
    };
  }

  override misfits() {
    const { hiddenSize, numAttentionHeads, patchSize, imageSize } = this.config;
    return [
      indivisible({ hiddenSize }, { numAttentionHeads }),
      patchSize > imageSize
        ? '`patchSize` may not be more than `imageSize` but they are ' +
          `${patchSize} and ${imageSize}.`
        : undefined,
    ];
  }

  override get inputAxes(): Inputs {
    const { imageSize, numChannels } = this.config;
    return { pixels: ['N', imageSize, imageSize, numChannels] };
  }

  /** The number of blocks that `steps` runs. */
  get numSteps(): number {
    return this.children.length;
  }

  *steps([pixels]: tf.Tensor[], _kwargs: CallArgs = {}): Steps<tf.Tensor[]> {
    using scope = new TensorScope();
    let h = pixels;
    for (const layer of [this.embeddings, this.preLayerNorm, ...this.layers])
      h = scope.replace(h, yield* scope.run(layer, [h])); // [N, T, C]
    const classToken = () => [
      tf.reshape(tf.slice(h, [0, 0, 0], [-1, 1, -1]), [-1, this.config.hiddenSize]),
    ];
    const pooled = yield* scope.run(this.postLayerNorm, classToken); // [N, C]
    const embeds = yield* scope.run(this.visualProjection, [pooled]); // [N, projectionDim]
    return scope.release([embeds, h]);
  }

  override computeOutputShape(inputShape: tfl.Shape): tfl.Shape[] {
    const items = inputShape.slice(0, -3);
    return [
      [...items, this.config.projectionDim],
      [...items, ...this.embeddings.computeOutputShape(inputShape as number[]).slice(1)],
    ];
  }
}
registerLayer(CLIPVisionModelWithProjection);
