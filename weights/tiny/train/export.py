"""
Writes what was trained as a checkpoint in diffusers' format: python export.py FOLDER.

Training sees latents of unit spread, whatever the VAE's are. Here that spread is folded into the weights, so that the published
scaling factor holds: latents times 0.18215 have unit spread.
"""

import sys
from pathlib import Path

import torch
from diffusers import AutoencoderKLTemporalDecoder, StableVideoDiffusionPipeline, UNetSpatioTemporalConditionModel

import common
import models

SHIPPED = Path(__file__).parent.parent


def vae_weights() -> dict:
    """The newest weights of the VAE: with the decoder trained on clips, if there is one; the shipped ones, if nothing was trained here."""
    for name in ('decoder', 'vae'):
        path = common.RUNS / name / 'weights.pt'
        if path.exists():
            return torch.load(path)
    return AutoencoderKLTemporalDecoder.from_pretrained(SHIPPED / 'vae', torch_dtype=torch.float32).state_dict()


def shipped_unet() -> dict:
    """The shipped UNet's weights as training wants them."""
    weights = UNetSpatioTemporalConditionModel.from_pretrained(SHIPPED / 'unet', torch_dtype=torch.float32).state_dict()
    weights['conv_in.weight'][:, 4:] /= models.SCALING_FACTOR
    return weights


def pipeline(spread: torch.Tensor, unet_weights: dict) -> StableVideoDiffusionPipeline:
    """The pipeline in float32; `spread` [4] is the latents' root mean square by channel."""
    vae, unet, scale = models.new_vae(), models.new_unet(), 1 / (spread * models.SCALING_FACTOR)
    vae.load_state_dict(vae_weights())
    unet.load_state_dict(unet_weights)
    with torch.no_grad():
        vae.quant_conv.weight[:4] *= scale[:, None, None, None]
        vae.quant_conv.bias[:4] *= scale
        vae.quant_conv.bias[4:] += 2 * scale.log()
        vae.decoder.conv_in.weight /= scale[:, None, None]
        unet.conv_in.weight[:, 4:] *= models.SCALING_FACTOR
    pipe = StableVideoDiffusionPipeline(vae.eval(), models.new_image_encoder(), unet.eval(), models.scheduler(), models.feature_extractor())
    pipe.set_progress_bar_config(disable=True)
    return pipe


if __name__ == '__main__':
    trained = torch.load(common.RUNS / 'unet' / 'weights.pt')
    pipeline(trained['spread'], trained['unet']).to(torch.float16).save_pretrained(sys.argv[1])
