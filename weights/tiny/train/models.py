"""The three networks, as diffusers and transformers define them, with small widths; their forwards are replaced by the faster ones of `fast.py`."""

import torch
from diffusers import AutoencoderKLTemporalDecoder, EulerDiscreteScheduler, UNetSpatioTemporalConditionModel
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

from data import FRAMES, SIZE

SCALING_FACTOR = 0.18215

# 64 channels at the least: with 32, the 32 groups of the decoder's last normalisation hold one channel each, which takes the mean
# colour out of every picture.
VAE = dict(
    block_out_channels=(64, 64, 64, 128),
    down_block_types=('DownEncoderBlock2D',) * 4,
    layers_per_block=1,
    latent_channels=4,
    sample_size=SIZE,
    scaling_factor=SCALING_FACTOR,
)

UNET = dict(
    sample_size=SIZE // 8,
    num_frames=FRAMES,
    block_out_channels=(64, 64, 64),
    down_block_types=('CrossAttnDownBlockSpatioTemporal', 'CrossAttnDownBlockSpatioTemporal', 'DownBlockSpatioTemporal'),
    up_block_types=('UpBlockSpatioTemporal', 'CrossAttnUpBlockSpatioTemporal', 'CrossAttnUpBlockSpatioTemporal'),
    layers_per_block=1,
    num_attention_heads=(2, 2, 2),
    cross_attention_dim=64,
    addition_time_embed_dim=32,
    projection_class_embeddings_input_dim=96,
)

IMAGE_ENCODER = dict(
    hidden_size=64,
    projection_dim=64,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=256,
    image_size=224,
    patch_size=32,
    hidden_act='gelu',
)

SCHEDULER = dict(
    num_train_timesteps=1000,
    beta_start=0.00085,
    beta_end=0.012,
    beta_schedule='scaled_linear',
    prediction_type='v_prediction',
    interpolation_type='linear',
    use_karras_sigmas=True,
    sigma_min=0.002,
    sigma_max=700.0,
    timestep_spacing='leading',
    timestep_type='continuous',
    steps_offset=1,
)


def new_vae() -> AutoencoderKLTemporalDecoder:
    """A fresh VAE whose temporal half passes every frame through unchanged, so that it can be trained on single pictures first."""
    torch.manual_seed(0)
    vae = AutoencoderKLTemporalDecoder(**VAE)
    with torch.no_grad():
        for name, module in vae.named_modules():
            if name.endswith('temporal_res_block.conv2'):
                module.weight.zero_()
                module.bias.zero_()
        vae.decoder.time_conv_out.weight.zero_()
        vae.decoder.time_conv_out.weight[:, :, 1, 0, 0] = torch.eye(3)
        vae.decoder.time_conv_out.bias.zero_()
        vae.quant_conv.bias[4:] = -6  # the posterior starts nearly certain
        vae.quant_conv.weight[4:] *= 0.1
    return vae


def new_unet() -> UNetSpatioTemporalConditionModel:
    """A fresh UNet that predicts nothing and whose residual branches start small."""
    torch.manual_seed(1)
    unet = UNetSpatioTemporalConditionModel(**UNET)
    with torch.no_grad():
        for name, module in unet.named_modules():
            if name.endswith(('.conv2', '.proj_out')) or name == 'conv_out':
                module.weight.mul_(0.1)
                module.bias.zero_()
    return unet


def new_image_encoder() -> CLIPVisionModelWithProjection:
    """An image encoder with random weights, which stay as they are."""
    torch.manual_seed(2)
    return CLIPVisionModelWithProjection(CLIPVisionConfig(**IMAGE_ENCODER)).eval()


def scheduler() -> EulerDiscreteScheduler:
    return EulerDiscreteScheduler(**SCHEDULER)


def feature_extractor() -> CLIPImageProcessor:
    return CLIPImageProcessor()
