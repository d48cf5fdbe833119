/** Every stage of a call ends with a check that its values are finite. */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import type { AnyBlock } from '../../../src/layers/index.ts';
import { checkFinite } from '../../../src/pipelines/sampling/finite.ts';
import type { SamplingPipeline } from '../../../src/pipelines/stableVideoDiffusion.ts';
import type { GenerateOptions } from '../../../src/pipelines/types.ts';
import { options, picture, tinyPipeline } from '../../harness/tiny.ts';
import { testBackend } from '../../setup.ts';

let pipe: SamplingPipeline;
before(async () => {
  pipe = await tinyPipeline();
  await pipe.generate(picture, options);
});
after(() => pipe.dispose());

const refusal = (work: Promise<unknown>) =>
  work.then(
    () => 'done',
    (error) => error.message,
  );

/** What `work` is refused with while the weight at `key` is changed; nothing may be left. */
async function refusalWith(
  model: AnyBlock,
  key: string,
  change: (weight: tf.Tensor) => tf.Tensor,
  work: () => Promise<unknown> = () => pipe.generate(picture, options),
): Promise<string> {
  const { variable } = model.parameters().find((parameter) => parameter.key === key)!;
  const good = tf.clone(variable.read());
  const changed = tf.tidy(() => change(good));
  variable.write(changed);
  changed.dispose();
  const before = tf.memory().numTensors;
  try {
    return await refusal(work());
  } finally {
    expect(tf.memory().numTensors, 'tensors left').to.equal(before);
    variable.write(good);
    good.dispose();
  }
}

const nan = (weight: tf.Tensor) => tf.fill(weight.shape, Number.NaN);
const infinite = (weight: tf.Tensor) => tf.fill(weight.shape, Number.POSITIVE_INFINITY);
const wayOut = ': check the model folder, or try the float32 files.';

describe('a stage that is not finite', () => {
  it('is named: embeddings, picture latents, latents, frames', async () => {
    const { imageEncoder, vae, unet } = pipe;
    expect(await refusalWith(imageEncoder, 'visual_projection.weight', nan)).to.equal(
      'The image embeddings are not finite. The weight visual_projection.weight of ' +
        `CLIPVisionModelWithProjection is not finite${wayOut}`,
    );
    expect(await refusalWith(vae, 'encoder.conv_in.bias', infinite)).to.equal(
      'The picture latents are not finite. The weight encoder.conv_in.bias of ' +
        `AutoencoderKLTemporalDecoder is not finite${wayOut}`,
    );
    expect(await refusalWith(unet, 'conv_in.bias', nan)).to.equal(
      'The latents are not finite after step 1 of 2. The weight conv_in.bias of ' +
        `UNetSpatioTemporalConditionModel is not finite${wayOut}`,
    );
    for (const change of [nan, infinite]) {
      expect(await refusalWith(vae, 'decoder.conv_out.bias', change)).to.equal(
        'The frames are not finite. The weight decoder.conv_out.bias of ' +
          `AutoencoderKLTemporalDecoder is not finite${wayOut}`,
      );
    }
  });

  it('is named in every form of the result, and when latents are decoded by themselves', async () => {
    const forms: GenerateOptions[] = [
      { outputType: 'array' },
      { outputType: 'tensor', decodeChunkSize: 1 },
    ];
    for (const form of forms) {
      const work = () => pipe.generate(picture, { ...options, ...form });
      const message = await refusalWith(pipe.vae, 'decoder.conv_out.bias', nan, work);
      expect(message).to.match(/^The frames are not finite\./);
    }
    const latents = tf.zeros<tf.Rank.R4>([2, 4, 8, 4]);
    const decode = () => pipe.decodeLatents(latents, 2, 2);
    const message = await refusalWith(pipe.vae, 'decoder.conv_out.bias', nan, decode);
    expect(message).to.match(/^The frames are not finite\./);
    latents.dispose();
    const latent = () => pipe.generate(picture, { ...options, outputType: 'latent' });
    expect(await refusalWith(pipe.unet, 'conv_out.bias', nan, latent)).to.match(
      /^The latents are not finite after step 1 of 2\./,
    );
  });

  it('is not taken for white where finite weights overflow', async () => {
    const huge = (weight: tf.Tensor) => tf.fill(weight.shape, 3e38);
    expect(await refusalWith(pipe.vae, 'decoder.conv_out.weight', huge)).to.equal(
      `The frames are not finite. The weights may be broken${wayOut}`,
    );
  });

  it('has a way out of float16', async () => {
    const x = tf.tensor1d([1, Number.NaN]);
    const message = (computeDtype: 'float16' | 'bfloat16') =>
      refusal(checkFinite(x, 'The frames', pipe.vae, { computeDtype }));
    expect(await message('float16')).to.equal(
      'The frames are not finite. float16 ends at 65504: use bfloat16 or float32.',
    );
    expect(await message('bfloat16')).to.include('The weights may be broken');
    x.dispose();
  });

  if (testBackend === 'tensorflow') {
    it('overflows inside the decoder in float16, and nowhere else', async () => {
      const large = (weight: tf.Tensor) => tf.mul(weight, 1e5);
      const calls = async (dtype: 'float32' | 'float16' | 'bfloat16') => {
        pipe.vae.computeDtype = dtype;
        return refusalWith(pipe.vae, 'decoder.conv_in.weight', large);
      };
      expect(await calls('float32')).to.equal('done');
      expect(await calls('bfloat16')).to.equal('done');
      expect(await calls('float16')).to.match(/^The frames are not finite\. float16 ends at/);
      pipe.vae.computeDtype = 'float32';
    });
  }
});

describe('inputs that are not finite', () => {
  it('pictures, also by their noise or their normalisation', async () => {
    const image = tf.tensor([0.5, Number.NaN, 0.5], [1, 1, 1, 3]);
    expect(await refusal(pipe.generate(image, options))).to.equal(
      'The picture is not finite: the tensor `image` holds NaN.',
    );
    image.dispose();
    const noisy = { ...options, noiseAugStrength: 3e38 };
    expect(await refusal(pipe.generate(picture, noisy))).to.equal(
      'The picture is not finite with the noise of `noiseAugStrength` 3e+38.',
    );
    const { featureExtractor } = pipe.components;
    pipe.components.featureExtractor = { ...featureExtractor, imageStd: [1, 0, 1] };
    expect(await refusal(pipe.generate(picture, options))).to.equal(
      'The picture is not finite after normalisation by `image_std` [1,0,1] of ' +
        'preprocessor_config.json.',
    );
    pipe.components.featureExtractor = featureExtractor;
  });

  it('start noise, also once it is scaled', async () => {
    for (const value of [Number.NaN, Number.NEGATIVE_INFINITY, 1e37]) {
      const latents = tf.fill([1, 2, 4, 8, 4], value);
      expect(await refusal(pipe.generate(picture, { ...options, latents }))).to.match(
        /^`latents` times the first noise level, 700.*, are not finite\./,
      );
      latents.dispose();
    }
  });
});
