"""Writes test/fixtures/checkpoints/model: a Stable Video Diffusion folder by diffusers' and transformers' own save_pretrained.

Its index and configs are a real pipeline's. The UNet and the VAE are small stand-ins, so that the files stay small; what matters is
how they are named, split and stored. Variants: none (one float32 file), `sharded` (float32), `fp16` (one file), `sharded16`.
"""

import shutil
import tempfile
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKLTemporalDecoder,
    ConfigMixin,
    EulerDiscreteScheduler,
    ModelMixin,
    StableVideoDiffusionPipeline,
    UNetSpatioTemporalConditionModel,
)
from diffusers.configuration_utils import register_to_config
from safetensors.torch import save_file
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection


class Standin(ModelMixin, ConfigMixin):
    @register_to_config
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(4, 6, 3)
        self.time_conv = torch.nn.Conv3d(6, 5, (3, 1, 1))
        self.linear = torch.nn.Linear(7, 9)
        self.norm = torch.nn.GroupNorm(2, 8)


def save(model, name, out):
    half = type(model)(model.config) if name == "image_encoder" else Standin()
    half.load_state_dict(model.state_dict())
    half = half.half()
    config = (out / name / "config.json").read_text()
    size = "10KB" if name == "image_encoder" else "1KB"
    model.save_pretrained(out / name)
    model.save_pretrained(out / name, variant="sharded", max_shard_size=size)
    half.save_pretrained(out / name, variant="fp16")
    half.save_pretrained(out / name, variant="sharded16", max_shard_size="5KB" if name == "image_encoder" else 500)
    (out / name / "config.json").write_text(config)


def write(folder):
    out = folder / "checkpoints" / "model"
    shutil.rmtree(out, ignore_errors=True)
    torch.manual_seed(0)

    unet = UNetSpatioTemporalConditionModel(
        sample_size=8,
        block_out_channels=(32, 64),
        down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
        up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
        num_attention_heads=(2, 4),
        cross_attention_dim=16,
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=24,
        layers_per_block=1,
        transformer_layers_per_block=1,
    )
    vae = AutoencoderKLTemporalDecoder(block_out_channels=(32,), layers_per_block=1, sample_size=16)
    clip = CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=16,
            intermediate_size=24,
            projection_dim=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            image_size=16,
            patch_size=8,
        )
    )
    pipeline = StableVideoDiffusionPipeline(
        vae=vae,
        image_encoder=clip,
        unet=unet,
        scheduler=EulerDiscreteScheduler(prediction_type="v_prediction", use_karras_sigmas=True),
        feature_extractor=CLIPImageProcessor(),
    )
    with tempfile.TemporaryDirectory() as whole:
        pipeline.save_pretrained(whole)
        for name in ("unet", "vae"):
            for file in (Path(whole) / name).glob("*.safetensors"):
                file.unlink()
        shutil.copytree(whole, out)

    for name in ("unet", "vae"):
        torch.manual_seed(len(name))
        save(Standin(), name, out)
    save(clip, "image_encoder", out)

    # A sharded file without a variant has an index of another name.
    sharded = folder / "checkpoints" / "sharded"
    shutil.rmtree(sharded, ignore_errors=True)
    torch.manual_seed(3)
    standin = Standin()
    standin.save_pretrained(sharded, max_shard_size="1KB")
    save_file(standin.state_dict(), sharded / "whole.safetensors")
