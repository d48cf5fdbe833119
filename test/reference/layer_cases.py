"""The table of layer fixtures: constructor arguments, input shapes and call arguments per case."""

from dataclasses import dataclass, field, replace


@dataclass
class Case:
    """One fixture. An input is a shape (a tuple, filled from its name) or the values themselves (a list)."""

    layer: str
    config: dict
    inputs: dict
    kwargs: dict = field(default_factory=dict)
    range: tuple[float, float] = (-1, 1)


CASES: dict[str, Case] = {}


def add(layer: str, variant: str, config: dict, inputs: dict, kwargs: dict | None = None, range: tuple[float, float] = (-1, 1)) -> None:
    CASES[f'{layer}-{variant}'] = Case(layer, config, inputs, kwargs or {}, range)


def zeros(batch: int, frames: int) -> list[list[float]]:
    """An image_only_indicator that says: all frames are video."""
    return [[0] * frames for _ in [None] * batch]


def video(batch: int, frames: int, **inputs) -> tuple[dict, dict]:
    """Inputs and kwargs of a layer on video."""
    return {**inputs, 'image_only_indicator': zeros(batch, frames)}, {'num_frames': frames}


# Leaves
add('Linear', 'bias', dict(in_features=24, out_features=40), {'input': (3, 5, 24)})
add('Linear', 'no-bias', dict(in_features=24, out_features=40, bias=False), {'input': (4, 24)})
add('Conv2d', '3x3', dict(in_channels=5, out_channels=32, kernel_size=3, padding=1), {'input': (2, 5, 7, 9)})
add('Conv2d', '1x1', dict(in_channels=32, out_channels=8, kernel_size=1), {'input': (2, 32, 5, 6)})
add('Conv2d', 'stride-2', dict(in_channels=8, out_channels=16, kernel_size=3, stride=2, padding=1), {'input': (2, 8, 7, 10)})
add('Conv2d', 'patches', dict(in_channels=3, out_channels=32, kernel_size=4, stride=4, bias=False), {'input': (2, 3, 16, 12)})
add('Conv3d', 'temporal', dict(in_channels=32, out_channels=24, kernel_size=[3, 1, 1], padding=[1, 0, 0]), {'input': (2, 32, 3, 4, 5)})
add(
    'Conv3d',
    'temporal-one-frame',
    dict(in_channels=8, out_channels=8, kernel_size=[3, 1, 1], padding=[1, 0, 0]),
    {'input': (2, 8, 1, 4, 5)},
)
add('GroupNormalization', 'eps6', dict(num_groups=32, num_channels=64, eps=1e-6), {'input': (1, 64, 5, 7)})
add('GroupNormalization', 'eps5', dict(num_groups=32, num_channels=32, eps=1e-5), {'input': (2, 32, 5, 7)}, range=(-4e-3, 4e-3))
add(
    'GroupNormalization', 'eps6-small-values', dict(num_groups=32, num_channels=32, eps=1e-6), {'input': (2, 32, 5, 7)}, range=(-4e-3, 4e-3)
)
add('GroupNormalization', 'frames-jointly', dict(num_groups=32, num_channels=64, eps=1e-5), {'input': (2, 64, 3, 3, 4)})
add('GroupNormalization', 'large-mean', dict(num_groups=32, num_channels=64, eps=1e-6), {'input': (1, 64, 5, 6)}, range=(9.5, 10.5))
add('GroupNormalization', '3-groups', dict(num_groups=3, num_channels=12, eps=1e-6), {'input': (1, 12, 3, 3)})
add('LayerNorm', 'tokens', dict(normalized_shape=32, eps=1e-5), {'input': (2, 7, 32)})
add('LayerNorm', 'odd', dict(normalized_shape=45, eps=1e-5), {'input': (2, 3, 45)}, range=(-0.01, 0.01))
add('LayerNorm', 'large-mean', dict(normalized_shape=64, eps=1e-5), {'input': (2, 5, 64)}, range=(9.5, 10.5))

# Embeddings
TIMES = [1.6377700567245483, -1.553652048110962, 0, 0.02, 6, 24, 127]
for variant, *arguments in (
    ('cos-first', 32, True, 0),
    ('cos-first-320', 320, True, 0),
    ('odd', 7, True, 0),
    ('sin-first', 16, False, 0),
    ('shift-1', 16, False, 1),
    ('odd-shift-1-scale', 9, True, 1, 10),
):
    add(
        'Timesteps',
        variant,
        dict(zip(('num_channels', 'flip_sin_to_cos', 'downscale_freq_shift', 'scale'), arguments)),
        {'timesteps': TIMES},
    )
add('TimestepEmbedding', 'same', dict(in_channels=32, time_embed_dim=128), {'sample': (4, 32)})
add('TimestepEmbedding', 'out-dim', dict(in_channels=32, time_embed_dim=128, out_dim=40), {'sample': (3, 32)}, range=(-3, 3))

# Resnets
add(
    'ResnetBlock2D',
    'eps6',
    dict(in_channels=32, out_channels=32, temb_channels=128, eps=1e-6),
    {'input_tensor': (2, 32, 6, 8), 'temb': (2, 128)},
)
add(
    'ResnetBlock2D',
    'eps5-shortcut',
    dict(in_channels=32, out_channels=64, temb_channels=128, eps=1e-5),
    {'input_tensor': (2, 32, 5, 7), 'temb': (2, 128)},
)
add(
    'ResnetBlock2D',
    'eps5-small-values',
    dict(in_channels=64, temb_channels=64, eps=1e-5),
    {'input_tensor': (1, 64, 6, 6), 'temb': (1, 64)},
    range=(-4e-3, 4e-3),
)
for variant, channels in (('no-temb', (64, 64)), ('no-temb-shortcut', (96, 32))):
    config = dict(zip(('in_channels', 'out_channels'), channels), temb_channels=None, eps=1e-6)
    add('ResnetBlock2D', variant, config, {'input_tensor': (1, channels[0], 6, 7), 'temb': None})
add(
    'TemporalResnetBlock',
    'temb',
    dict(in_channels=32, out_channels=32, temb_channels=128, eps=1e-6),
    {'input_tensor': (2, 32, 3, 4, 5), 'temb': (2, 3, 128)},
)
add(
    'TemporalResnetBlock',
    'temb-64',
    dict(in_channels=64, temb_channels=64, eps=1e-5),
    {'input_tensor': (1, 64, 3, 3, 4), 'temb': (1, 3, 64)},
)
add(
    'TemporalResnetBlock',
    'shortcut',
    dict(in_channels=32, out_channels=64, temb_channels=64, eps=1e-5),
    {'input_tensor': (1, 32, 3, 4, 5), 'temb': (1, 3, 64)},
)
add(
    'TemporalResnetBlock',
    'no-temb',
    dict(in_channels=32, out_channels=32, temb_channels=None, eps=1e-5),
    {'input_tensor': (2, 32, 2, 4, 5), 'temb': None},
)
add(
    'TemporalResnetBlock', 'one-frame', dict(in_channels=32, temb_channels=None, eps=1e-6), {'input_tensor': (2, 32, 1, 4, 5), 'temb': None}
)

UNET_RES = dict(in_channels=32, out_channels=64, temb_channels=128, eps=1e-5)
VAE_RES = dict(
    temb_channels=None, eps=1e-6, temporal_eps=1e-5, merge_factor=0.0, merge_strategy='learned', switch_spatial_to_temporal_mix=True
)
add('SpatioTemporalResBlock', 'unet', UNET_RES, *video(1, 3, hidden_states=(3, 32, 5, 6), temb=(3, 128)))
add(
    'SpatioTemporalResBlock',
    'unet-batch',
    {**UNET_RES, 'out_channels': 32, 'eps': 1e-6},
    *video(2, 2, hidden_states=(4, 32, 4, 6), temb=(4, 128)),
)
add(
    'SpatioTemporalResBlock',
    'unet-temporal-eps',
    {**UNET_RES, 'eps': 1e-6, 'temporal_eps': 1e-3},
    *video(1, 2, hidden_states=(2, 32, 4, 6), temb=(2, 128)),
)
add(
    *('SpatioTemporalResBlock', 'unet-images', {**UNET_RES, 'out_channels': None}),
    {'hidden_states': (4, 32, 4, 6), 'temb': (4, 128), 'image_only_indicator': [[1, 1], [0, 1]]},
    {'num_frames': 2},
)
add('SpatioTemporalResBlock', 'vae', dict(in_channels=64, out_channels=32, **VAE_RES), *video(2, 2, hidden_states=(4, 64, 4, 6), temb=None))
add(
    'SpatioTemporalResBlock',
    'vae-same',
    dict(in_channels=64, out_channels=64, **VAE_RES),
    *video(1, 3, hidden_states=(3, 64, 5, 4), temb=None),
)

FIVE, THREE = (2, 4, 3, 2, 3), (6, 4, 5)
MIXED = [[0, 1, 0], [1, 1, 0]]
for strategy in ('fixed', 'learned', 'learned_with_images'):
    for switch in (False, True):
        for shape in (FIVE, THREE):
            variant = f'{strategy.replace("_", "-")}{"-switch" if switch else ""}-{len(shape)}d'
            config = dict(alpha=0.3, merge_strategy=strategy, switch_spatial_to_temporal_mix=switch)
            add(
                'AlphaBlender', variant, config, {'x_spatial': shape, 'x_temporal': shape, 'image_only_indicator': MIXED}, {'num_frames': 3}
            )
add(
    'AlphaBlender',
    'no-indicator',
    dict(alpha=0.3, merge_strategy='learned'),
    {'x_spatial': FIVE, 'x_temporal': FIVE, 'image_only_indicator': None},
)

# Attention and transformers
add('Attention', 'self', dict(query_dim=32, heads=4, dim_head=8), {'hidden_states': (2, 24, 32)}, range=(-3, 3))
add('Attention', 'self-wide-head', dict(query_dim=32, heads=1, dim_head=64), {'hidden_states': (1, 35, 32)}, range=(-3, 3))
add('Attention', 'self-odd-head', dict(query_dim=40, heads=3, dim_head=5), {'hidden_states': (3, 7, 40)}, range=(-3, 3))
add(
    'Attention',
    'cross',
    dict(query_dim=32, cross_attention_dim=24, heads=2, dim_head=16),
    {'hidden_states': (2, 20, 32), 'encoder_hidden_states': (2, 3, 24)},
    range=(-3, 3),
)
add(
    'Attention',
    'cross-one-token',
    dict(query_dim=32, cross_attention_dim=24, heads=4, dim_head=8),
    {'hidden_states': (2, 20, 32), 'encoder_hidden_states': (2, 1, 24)},
)
add('Attention', 'qkv-bias', dict(query_dim=32, heads=4, dim_head=8, bias=True), {'hidden_states': (2, 12, 32)}, range=(-3, 3))
VAE_ATTENTION = dict(eps=1e-6, norm_num_groups=32, bias=True, residual_connection=True)
add('Attention', 'vae', dict(query_dim=64, heads=1, dim_head=64, **VAE_ATTENTION), {'hidden_states': (2, 64, 5, 6)}, range=(-3, 3))
add('Attention', 'vae-heads', dict(query_dim=64, heads=4, dim_head=16, **VAE_ATTENTION), {'hidden_states': (1, 64, 4, 7)}, range=(-3, 3))
add('FeedForward', 'geglu', dict(dim=32, activation_fn='geglu'), {'hidden_states': (2, 12, 32)}, range=(-2, 2))
add('FeedForward', 'geglu-dim-out', dict(dim=32, dim_out=48, activation_fn='geglu'), {'hidden_states': (2, 5, 32)}, range=(-2, 2))
add('FeedForward', 'gelu', dict(dim=32, activation_fn='gelu'), {'hidden_states': (2, 12, 32)}, range=(-2, 2))
add('FeedForward', 'gelu-mult', dict(dim=24, dim_out=16, mult=2, activation_fn='gelu'), {'hidden_states': (2, 5, 24)}, range=(-2, 2))
BLOCK = dict(dim=32, num_attention_heads=4, attention_head_dim=8, cross_attention_dim=24)
for tokens in (1, 3):
    add('BasicTransformerBlock', f'context-{tokens}', BLOCK, {'hidden_states': (2, 20, 32), 'encoder_hidden_states': (2, tokens, 24)})
    add(
        *('TemporalBasicTransformerBlock', f'context-{tokens}', {**BLOCK, 'time_mix_inner_dim': 32}),
        *({'hidden_states': (6, 8, 32), 'encoder_hidden_states': (16, tokens, 24)}, {'num_frames': 3}),
    )
# Without a context, the second attention is to x itself.
add('BasicTransformerBlock', 'self-twice', {**BLOCK, 'cross_attention_dim': 32}, {'hidden_states': (2, 15, 32)})
add(
    'TemporalBasicTransformerBlock',
    'self-twice',
    {**BLOCK, 'cross_attention_dim': 32, 'time_mix_inner_dim': 32},
    {'hidden_states': (6, 7, 32)},
    {'num_frames': 3},
)
add('BasicTransformerBlock', 'self-only', {**BLOCK, 'cross_attention_dim': None}, {'hidden_states': (1, 15, 32)})
add(
    'TemporalBasicTransformerBlock',
    'self-only',
    {**BLOCK, 'cross_attention_dim': None, 'time_mix_inner_dim': 32},
    {'hidden_states': (2, 7, 32)},
    {'num_frames': 2},
)
TRANSFORMER = dict(num_attention_heads=4, attention_head_dim=8, in_channels=32, cross_attention_dim=24)
for layers in (1, 2):
    for tokens in (1, 3):
        inputs, kwargs = video(2, 2, hidden_states=(4, 32, 4, 5), encoder_hidden_states=(4, tokens, 24))
        add('TransformerSpatioTemporalModel', f'layers-{layers}-context-{tokens}', {**TRANSFORMER, 'num_layers': layers}, inputs, kwargs)
add(
    'TransformerSpatioTemporalModel',
    '64',
    {**TRANSFORMER, 'in_channels': 64, 'attention_head_dim': 16},
    *video(1, 3, hidden_states=(3, 64, 3, 5), encoder_hidden_states=(3, 1, 24)),
)
# diffusers asks for a context, and blocks without attention to it do not look at it.
for variant, layers, size in (('self-only', 1, (4, 5)), ('self-only-layers-2', 2, (3, 3))):
    inputs, kwargs = video(2, 3, hidden_states=(6, 32, *size), encoder_hidden_states=(6, 1, 24))
    add('TransformerSpatioTemporalModel', variant, {**TRANSFORMER, 'cross_attention_dim': None, 'num_layers': layers}, inputs, kwargs)
add(
    *('TransformerSpatioTemporalModel', 'images', TRANSFORMER),
    {'hidden_states': (4, 32, 3, 4), 'encoder_hidden_states': (4, 1, 24), 'image_only_indicator': [[0, 1], [1, 0]]},
    {'num_frames': 2},
)

# Resampling
for variant, size in (('even', (6, 8)), ('odd', (5, 7)), ('mixed', (6, 7))):
    add('Downsample2D', f'padding-1-{variant}', dict(channels=32, use_conv=True, padding=1, name='op'), {'hidden_states': (2, 32, *size)})
    add(
        'Downsample2D',
        f'padding-0-{variant}',
        dict(channels=16, use_conv=True, out_channels=24, padding=0, name='op'),
        {'hidden_states': (1, 16, *size)},
    )
add('Upsample2D', 'double', dict(channels=32, use_conv=True), {'hidden_states': (2, 32, 3, 4)})
add('Upsample2D', 'double-wider', dict(channels=16, use_conv=True, out_channels=24), {'hidden_states': (1, 16, 3, 5)})
add('Upsample2D', 'output-size-odd', dict(channels=32, use_conv=True), {'hidden_states': (1, 32, 3, 4)}, {'output_size': [5, 7]})
add('Upsample2D', 'output-size-any', dict(channels=16, use_conv=True), {'hidden_states': (1, 16, 5, 3)}, {'output_size': [8, 5]})

# UNet blocks
for variant, down, layers in (('', True, 1), ('last-', False, 2)):
    config = dict(in_channels=32, out_channels=64, temb_channels=128, num_layers=layers, add_downsample=down)
    add('DownBlockSpatioTemporal', f'{variant}layers-{layers}', config, *video(1, 2, hidden_states=(2, 32, 4, 5), temb=(2, 128)))
    config = {**config, 'out_channels': 32, 'num_attention_heads': 4, 'cross_attention_dim': 24, 'transformer_layers_per_block': 3 - layers}
    inputs, kwargs = video(2, 2, hidden_states=(4, 32, 4, 5), temb=(4, 128), encoder_hidden_states=(4, 1 if down else 3, 24))
    add('CrossAttnDownBlockSpatioTemporal', f'{variant}layers-{layers}', config, inputs, kwargs)
for variant, up, size in (('double', True, None), ('upsample-size', True, [7, 9]), ('last', False, None)):
    config = dict(
        in_channels=32, prev_output_channel=64, out_channels=32, temb_channels=128, num_layers=2, resnet_eps=1e-5, add_upsample=up
    )
    states = {
        'hidden_states': (2, 64, 4, 5),
        'res_hidden_states_tuple.0': (2, 32, 4, 5),
        'res_hidden_states_tuple.1': (2, 32, 4, 5),
        'temb': (2, 128),
    }
    inputs, kwargs = video(1, 2, **states)
    kwargs = {**kwargs, **({'upsample_size': size} if size else {})}
    add('UpBlockSpatioTemporal', variant, config, inputs, kwargs)
    config = {**config, 'num_attention_heads': 4, 'cross_attention_dim': 24, 'transformer_layers_per_block': 2 if variant == 'last' else 1}
    add(
        'CrossAttnUpBlockSpatioTemporal',
        variant,
        config,
        {**inputs, 'encoder_hidden_states': (2, 3 if variant == 'last' else 1, 24)},
        kwargs,
    )
for layers in (1, 2):
    config = dict(
        in_channels=32,
        temb_channels=128,
        num_layers=layers,
        transformer_layers_per_block=3 - layers,
        num_attention_heads=2,
        cross_attention_dim=24,
    )
    inputs, kwargs = video(2, 2, hidden_states=(4, 32, 3, 5), temb=(4, 128), encoder_hidden_states=(4, layers, 24))
    add('UNetMidBlockSpatioTemporal', f'layers-{layers}', config, inputs, kwargs)

# VAE blocks
for variant, down, layers in (('', True, 2), ('last-', False, 1)):
    config = dict(in_channels=32, out_channels=64, num_layers=layers, resnet_eps=1e-6, add_downsample=down, downsample_padding=0)
    add('DownEncoderBlock2D', f'{variant}layers-{layers}', config, {'hidden_states': (1, 32, 7, 6)})
add(
    'UNetMidBlock2D',
    'vae',
    dict(in_channels=64, temb_channels=None, resnet_eps=1e-6, attention_head_dim=64, output_scale_factor=1),
    {'hidden_states': (2, 64, 4, 5)},
)
for layers in (1, 2, 3):
    config = dict(in_channels=64, out_channels=64, attention_head_dim=64, num_layers=layers)
    add('MidBlockTemporalDecoder', f'layers-{layers}', config, *video(1, 2, hidden_states=(2, 64, 4, 5)))
for variant, up in (('double', True), ('last', False)):
    config = dict(in_channels=64, out_channels=32, num_layers=2, add_upsample=up)
    add('UpBlockTemporalDecoder', variant, config, *video(2, 2, hidden_states=(4, 64, 3, 4)))
for layers in (1, 2):
    blocks = dict(block_out_channels=[32, 64], layers_per_block=layers)
    add(
        'Encoder',
        f'layers-{layers}',
        dict(in_channels=3, out_channels=4, down_block_types=['DownEncoderBlock2D'] * 2, double_z=True, **blocks),
        {'sample': (2, 3, 8, 12)},
    )
    add(
        'TemporalDecoder',
        f'layers-{layers}',
        dict(in_channels=4, out_channels=3, **blocks),
        *video(2 if layers == 1 else 1, 2, sample=(4 if layers == 1 else 2, 4, 4, 6)),
    )

# Small values: a wrong epsilon, invisible at unit variance, shows at the first normalisation.
for name in (
    *('TransformerSpatioTemporalModel-layers-1-context-1', 'DownBlockSpatioTemporal-layers-1', 'CrossAttnDownBlockSpatioTemporal-layers-1'),
    *('UpBlockSpatioTemporal-last', 'CrossAttnUpBlockSpatioTemporal-last', 'UNetMidBlockSpatioTemporal-layers-1'),
    *(
        'DownEncoderBlock2D-last-layers-1',
        'UNetMidBlock2D-vae',
        'MidBlockTemporalDecoder-layers-1',
        'UpBlockTemporalDecoder-last',
        'Attention-vae',
    ),
):
    CASES[f'{name}-small-values'] = replace(CASES[name], range=(-4e-3, 4e-3))
