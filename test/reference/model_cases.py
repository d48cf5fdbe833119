"""The table of model fixtures: configurations, input shapes and call arguments per case."""

from dataclasses import dataclass, field


@dataclass
class Case:
    """One fixture: `method` of the model called on inputs filled from their names, with further arguments `kwargs`."""

    model: str
    config: dict
    inputs: dict
    kwargs: dict = field(default_factory=dict)
    method: str = 'forward'
    stages: bool = True


CASES: dict[str, Case] = {}


def unet(
    variant: str, shape: tuple, tokens: int = 1, timestep: float = 1.25, stages: bool = True, chunking: dict | None = None, **config
) -> None:
    """A UNet on `shape` [B, F, C, H, W]. `config` overrides a tiny one of two levels."""
    config = {**UNET, **config}
    width = config['cross_attention_dim'] if isinstance(config['cross_attention_dim'], int) else config['cross_attention_dim'][0]
    inputs = {'sample': shape, 'encoder_hidden_states': (shape[0], tokens, width), 'added_time_ids': [[6, 127, 0.02]] * shape[0]}
    kwargs = {'timestep': timestep, **({'forward_chunking': chunking} if chunking else {})}
    CASES[f'UNetSpatioTemporalConditionModel-{variant}'] = Case('UNetSpatioTemporalConditionModel', config, inputs, kwargs, stages=stages)


def blocks(levels: int, attention: list[bool] | None = None) -> dict:
    """Block types with attention on the levels that a list names, the outermost first. Default: as published, on all levels but the last."""
    attention = attention or [True] * (levels - 1) + [False]
    return {
        'down_block_types': [f'{"CrossAttn" if cross else ""}DownBlockSpatioTemporal' for cross in attention],
        'up_block_types': [f'{"CrossAttn" if cross else ""}UpBlockSpatioTemporal' for cross in reversed(attention)],
    }


UNET = {
    **dict(sample_size=32, in_channels=8, out_channels=4, block_out_channels=[32, 64], layers_per_block=2, cross_attention_dim=32),
    **dict(num_attention_heads=8, addition_time_embed_dim=32, projection_class_embeddings_input_dim=96, num_frames=2),
    **blocks(2),
}
THREE = dict(block_out_channels=[32, 64, 64], layers_per_block=2, num_attention_heads=[2, 4, 4], **blocks(3))
FOUR = dict(block_out_channels=[32, 32, 64, 64], layers_per_block=1, num_attention_heads=[1, 2, 4, 4], **blocks(4))

unet('pipeline-tiny', (1, 2, 8, 6, 8))
unet('batch', (2, 2, 8, 4, 4), timestep=-0.75)
unet('in-channels-4', (2, 1, 4, 6, 4), timestep=10, stages=False, in_channels=4)
unet('heads-per-level', (1, 2, 8, 4, 6), num_attention_heads=[8, 16])
unet('context-3', (2, 2, 8, 4, 4), tokens=3)
unet('3-levels-odd', (1, 2, 8, 5, 7), **THREE)
unet('3-levels-odd-halves', (1, 2, 8, 6, 10), stages=False, **THREE)
unet('4-levels', (1, 2, 8, 8, 8), **FOUR)
unet('4-levels-odd', (2, 2, 8, 9, 13), stages=False, **FOUR)
unet('transformer-layers-2', (1, 2, 8, 4, 6), transformer_layers_per_block=2)
unet(
    *('per-level', (1, 2, 8, 4, 6)),
    **dict(
        layers_per_block=[1, 2, 1], transformer_layers_per_block=[1, 2, 1], cross_attention_dim=[32, 32, 32], num_attention_heads=[2, 4, 6]
    ),
    **dict(block_out_channels=[32, 64, 96], **blocks(3)),
)
unet('attention-inside', (1, 2, 8, 4, 4), num_attention_heads=[2, 4], **blocks(2, [False, True]))
unet('chunking', (2, 2, 8, 4, 4), stages=False, chunking={'chunk_size': None, 'dim': 0})
unet('chunking-2-tokens', (1, 2, 8, 4, 4), tokens=3, stages=False, chunking={'chunk_size': 2, 'dim': 1})


def vae(variant: str, num_frames: int, config: dict, **inputs) -> None:
    """A VAE called by each method that has an input: `x` of encode (pictures), `z` of decode (latents), `sample` of forward (pictures)."""
    config = {'down_block_types': ['DownEncoderBlock2D'] * len(config['block_out_channels']), **config}
    for key, shape in inputs.items():
        method = {'x': 'encode', 'z': 'decode', 'sample': 'forward'}[key]
        kwargs = {} if method == 'encode' else {'num_frames': num_frames}
        case = Case('AutoencoderKLTemporalDecoder', config, {key: shape}, kwargs, method, stages=method != 'forward')
        CASES[f'AutoencoderKLTemporalDecoder-{variant}-{method}'] = case


for layers, pixels, latents in ((1, (2, 3, 12, 8), (2, 4, 4, 3)), (2, (1, 3, 8, 12), (3, 4, 4, 3)), (3, (1, 3, 8, 8), (2, 4, 3, 4))):
    vae(f'layers-{layers}', latents[0], dict(block_out_channels=[32, 64], layers_per_block=layers), x=pixels, z=latents)
vae('layers-1', 2, dict(block_out_channels=[32, 64], layers_per_block=1), sample=(2, 3, 12, 8))
vae('batch', 2, dict(block_out_channels=[32, 32], layers_per_block=2), z=(4, 4, 4, 3), sample=(4, 3, 8, 8))
vae('one-frame', 1, dict(block_out_channels=[64, 32], layers_per_block=1), z=(2, 4, 4, 4), sample=(2, 3, 8, 8))
vae('4-levels', 2, dict(block_out_channels=[32, 32, 64, 64], layers_per_block=2), x=(1, 3, 16, 24), z=(2, 4, 2, 1), sample=(2, 3, 16, 24))


def clip(variant: str, batch: int, **config) -> None:
    """A CLIP image encoder on `batch` pictures."""
    size = config['image_size']
    inputs = {'pixel_values': (batch, 3, size, size)}
    CASES[f'CLIPVisionModelWithProjection-{variant}'] = Case('CLIPVisionModelWithProjection', config, inputs)


TOWER = dict(hidden_size=32, projection_dim=24, num_hidden_layers=2, num_attention_heads=4, intermediate_size=37)
clip('quick-gelu', 2, **TOWER, image_size=16, patch_size=4, hidden_act='quick_gelu')
clip(
    'gelu',
    2,
    **{**TOWER, 'hidden_size': 48, 'num_hidden_layers': 3, 'num_attention_heads': 3},
    image_size=28,
    patch_size=14,
    hidden_act='gelu',
)
clip('remainder', 1, **TOWER, image_size=30, patch_size=14, hidden_act='gelu', layer_norm_eps=1e-3)
