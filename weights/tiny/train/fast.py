"""
The forwards of the networks' blocks for training: the same results as diffusers', five times as fast on a processor.

* Everything lies as [frames, height, width, channels]; groups of frames and tokens are views of that.
* Temporal convolutions run as two-dimensional ones over [frames, pixels].
* On a processor, normalisation, attention and the gated GELU are own kernels (`kernels.cpp`).
* The context is one token, so cross-attention adds the same vector to every token: its queries and keys are skipped.

`install(skip_time=...)` puts them in place of diffusers' own. With `skip_time`, temporal blocks pass their input through.
"""

from functools import cache
from pathlib import Path

import torch
from diffusers.models.resnet import ResnetBlock2D, SpatioTemporalResBlock
from diffusers.models.transformers.transformer_temporal import TransformerSpatioTemporalModel
from torch.nn import functional


@cache
def _kernel():
    from torch.utils.cpp_extension import load

    return load('kernels', [str(Path(__file__).parent / 'kernels.cpp')], extra_cflags=['-O3', '-march=native', '-ffast-math'])


class _FusedNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, gamma, beta, groups, eps, silu):
        x, gamma, beta = x.contiguous(), gamma.float(), beta.float()
        y, stats = _kernel().norm(x, gamma, beta, groups, eps, silu)
        ctx.save_for_backward(x, stats, gamma, beta)
        ctx.silu = silu
        return y

    @staticmethod
    def backward(ctx, grad):
        x, stats, gamma, beta = ctx.saved_tensors
        dx, dgamma, dbeta = _kernel().normBack(grad.contiguous(), x, stats, gamma, beta, ctx.silu)
        return dx, dgamma.bfloat16(), dbeta.bfloat16(), None, None, None


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx, q, k, v):
        ctx.save_for_backward(q, k, v)
        return _kernel().attention(q, k, v)

    @staticmethod
    def backward(ctx, grad):
        return tuple(_kernel().attentionBack(grad.contiguous(), *ctx.saved_tensors))


class _Gated(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return _kernel().gated(x)

    @staticmethod
    def backward(ctx, grad):
        return _kernel().gatedBack(grad.contiguous(), *ctx.saved_tensors)


def _own(x: torch.Tensor) -> bool:
    """Whether the own kernels take x."""
    return x.device.type == 'cpu' and x.dtype == torch.bfloat16


def norm(x: torch.Tensor, module: torch.nn.GroupNorm, frames: int = 1, silu: bool = True) -> torch.Tensor:
    """Group normalisation of x [BF, C, H, W] over `frames` together, then SiLU."""
    count, channels, height, width = x.shape
    rows = x.permute(0, 2, 3, 1).reshape(count // frames, frames * height * width, channels)
    if _own(x):
        y = _FusedNorm.apply(rows, module.weight, module.bias, module.num_groups, module.eps, silu)
    else:
        y = functional.group_norm(rows.transpose(1, 2), module.num_groups, module.weight, module.bias, module.eps).transpose(1, 2)
        y = functional.silu(y) if silu else y
    return y.reshape(count, height, width, channels).permute(0, 3, 1, 2)


def _resnet(self, x, temb=None, *_):
    h = self.conv1(norm(x, self.norm1))
    if temb is not None:
        h = h + self.time_emb_proj(functional.silu(temb))[:, :, None, None]
    h = self.conv2(norm(h, self.norm2))
    return (x if self.conv_shortcut is None else self.conv_shortcut(x)) + h


def _over_time(conv: torch.nn.Conv3d, x: torch.Tensor, frames: int) -> torch.Tensor:
    """A (3, 1, 1) convolution of x [BF, C, H, W]."""
    count, channels, height, width = x.shape
    video = x.permute(0, 2, 3, 1).reshape(count // frames, frames, height * width, channels).permute(0, 3, 1, 2)
    video = functional.conv2d(video, conv.weight[..., 0], conv.bias, padding=(1, 0))
    return video.permute(0, 2, 3, 1).reshape(count, height, width, -1).permute(0, 3, 1, 2)


def _temporal_branch(self, x, temb, frames):
    """What the temporal residual block adds to x."""
    h = _over_time(self.conv1, norm(x, self.norm1, frames), frames)
    if temb is not None:
        h = h + self.time_emb_proj(functional.silu(temb))[:, :, None, None]
    return _over_time(self.conv2, norm(h, self.norm2, frames), frames)


def _spatio_temporal(skip_time):
    def forward(self, x, temb=None, image_only_indicator=None):
        x = self.spatial_res_block(x, temb)
        if skip_time:
            return x
        mixer = self.time_mixer
        share = torch.sigmoid(mixer.mix_factor if mixer.switch_spatial_to_temporal_mix else -mixer.mix_factor)
        return x + share.to(x.dtype) * _temporal_branch(self.temporal_res_block, x, temb, image_only_indicator.shape[-1])

    return forward


def _attend(attention, x):
    q, k, v = attention.to_q(x), attention.to_k(x), attention.to_v(x)
    if _own(x) and x.shape[1] in (4, 8, 16, 64) and x.shape[2] == 32 * attention.heads:
        return attention.to_out[0](_Attention.apply(q, k, v))

    def heads(y):
        return y.unflatten(-1, (attention.heads, -1)).transpose(1, 2)

    y = functional.scaled_dot_product_attention(heads(q), heads(k), heads(v))
    return attention.to_out[0](y.transpose(1, 2).flatten(2))


def _forward(ff, x):
    """A gated feed-forward."""
    if not _own(x):
        return ff(x)
    h = ff.net[0].proj(x)
    return ff.net[2](_Gated.apply(h.flatten(0, -2)).view(*h.shape[:-1], -1))


def _context(attention, context):
    """Cross-attention to one token [N, 1, D]."""
    return attention.to_out[0](attention.to_v(context))


def _layer(norm, x):
    return functional.layer_norm(x, x.shape[-1:], norm.weight, norm.bias, norm.eps)


def _transformer(self, hidden_states, encoder_hidden_states=None, image_only_indicator=None, return_dict=True):
    x, context = hidden_states, encoder_hidden_states
    count, channels, height, width = x.shape
    frames = image_only_indicator.shape[-1]
    clips, pixels = count // frames, height * width
    h = norm(x, self.norm, silu=False).permute(0, 2, 3, 1).reshape(count, pixels, channels)
    h = self.proj_in(h)
    positions = self.time_proj(torch.arange(frames, device=x.device)).to(x.dtype)
    positions = self.time_pos_embed(positions)[:, None]  # [F, 1, C]
    first = context.reshape(clips, frames, 1, -1)[:, 0]
    for block, over_time in zip(self.transformer_blocks, self.temporal_transformer_blocks):
        h = h + _attend(block.attn1, _layer(block.norm1, h)) + _context(block.attn2, context)
        h = h + _forward(block.ff, _layer(block.norm3, h))
        t = (h.view(clips, frames, pixels, channels) + positions).transpose(1, 2).reshape(clips * pixels, frames, channels)
        t = t + _forward(over_time.ff_in, _layer(over_time.norm_in, t))
        t = t + _attend(over_time.attn1, _layer(over_time.norm1, t))
        t = (t.view(clips, pixels * frames, channels) + _context(over_time.attn2, first)).view_as(t)
        t = t + _forward(over_time.ff, _layer(over_time.norm3, t))
        t = t.view(clips, pixels, frames, channels).transpose(1, 2).reshape(count, pixels, channels)
        h = torch.lerp(t, h, torch.sigmoid(self.time_mixer.mix_factor).to(x.dtype))
    h = self.proj_out(h).view(count, height, width, channels).permute(0, 3, 1, 2)
    return (h + x,)


def install(skip_time: bool = False) -> None:
    ResnetBlock2D.forward = _resnet
    SpatioTemporalResBlock.forward = _spatio_temporal(skip_time)
    TransformerSpatioTemporalModel.forward = _transformer


def encode(vae, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and logarithm of the variance of the posterior [N, 4, h, w] of pictures [N, 3, H, W]."""
    e = vae.encoder
    x = e.conv_in(x.contiguous(memory_format=torch.channels_last))
    for block in e.down_blocks:
        x = block(x)
    x = e.mid_block(x)
    return vae.quant_conv(e.conv_out(norm(x, e.conv_norm_out))).chunk(2, 1)


def decode(vae, z: torch.Tensor, frames: int, skip_time: bool) -> torch.Tensor:
    d = vae.decoder
    indicator = z.new_zeros(len(z) // frames, frames)
    x = d.conv_in(z.contiguous(memory_format=torch.channels_last))
    x = d.mid_block(x, indicator)
    for block in d.up_blocks:
        x = block(x, indicator)
    x = d.conv_out(norm(x, d.conv_norm_out))
    return x if skip_time else _over_time(d.time_conv_out, x, frames)
