"""
Measures the checkpoint beside this file on 100 held-out pictures: python evaluate.py [--folder FOLDER] [--sheets FOLDER]

Prints a table and writes it as figures.json. The main object is tracked by its colour, in the generated clip as in the true one.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
from diffusers import StableVideoDiffusionPipeline
from PIL import Image

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / 'train'))
import data  # noqa: E402

BUCKETS = (40, 80, 127, 200)
FPS = 7
LOST = 0.25  # an object that keeps less than this share of its area in some frame is lost
FIRST = 30_000  # the first held-out clip


def psnr(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Peak signal to noise ratio of each of a [N, ..., H, W, 3] in 0..1 in decibel."""
    return -10 * torch.log10((a - b).square().flatten(1).mean(1))


def track(videos: torch.Tensor, hue: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Centroid [N, F, 2] (x, y) in pixels and area [N, F] of what has the hue [N], in videos [N, F, H, W, 3] in 0..1."""
    colour = videos - videos.mean(-1, keepdim=True)
    towards = data.hue_to_rgb(hue) - 0.5
    towards = (towards / towards.norm(dim=-1, keepdim=True))[:, None, None, None]
    along = (colour * towards).sum(-1)
    weight = ((along - 0.22) / 0.15).clamp(0, 1) * (along > 0.77 * colour.norm(dim=-1))
    area = weight.sum((2, 3))
    line = torch.arange(videos.shape[2], dtype=torch.float32)
    x, y = ((weight * axis).sum((2, 3)) / area.clamp(min=1e-6) for axis in (line, line[:, None]))
    return torch.stack([x, y], -1), area


def velocity(centroids: torch.Tensor) -> torch.Tensor:
    """Pixels a frame [N, 2]: the slope of the line through the centroids [N, F, 2]."""
    time = torch.arange(centroids.shape[1], dtype=torch.float32)
    time = time - time.mean()
    return (centroids * time[:, None]).sum(1) / time.square().sum()


def generate(pipe, pictures: torch.Tensor, bucket: int, args, seed: int) -> torch.Tensor:
    """Videos [N, F, H, W, 3] in 0..1 for pictures [N, H, W, 3] (uint8)."""
    videos = pipe(
        [Image.fromarray(picture.numpy()) for picture in pictures],
        **dict(height=data.SIZE, width=data.SIZE, num_frames=data.FRAMES, num_inference_steps=args.steps, fps=FPS, motion_bucket_id=bucket),
        **dict(min_guidance_scale=1.0, max_guidance_scale=args.guidance, generator=torch.Generator().manual_seed(seed), output_type='np'),
    ).frames
    return torch.from_numpy(np.asarray(videos))


def measure(pipe, args) -> tuple[dict, torch.Tensor]:
    """The figures, and rows of frames (true over generated) of the first clips of each bucket."""
    count = args.pictures // len(BUCKETS)
    table, rows = {}, []
    for place, bucket in enumerate(BUCKETS):
        clips = data.render('test', FIRST + place * count, count, bucket, FPS)
        true = clips.videos.float() / 255
        made = torch.cat([generate(pipe, clips.videos[i : i + 5, 0], bucket, args, 100 * place + i) for i in range(0, count, 5)])
        pixels = (clips.videos.permute(0, 1, 4, 2, 3).float() / 127.5 - 1).flatten(0, 1)
        latents = torch.cat([pipe.vae.encode(part).latent_dist.mode() for part in pixels.split(40)])
        decoded = torch.cat([pipe.vae.decode(part, num_frames=data.FRAMES).sample for part in latents.split(40)])
        decoded = (decoded.clamp(-1, 1) / 2 + 0.5).permute(0, 2, 3, 1)

        (true_path, true_area), (path, area) = track(true, clips.hue), track(made, clips.hue)
        kept = (area.min(1).values > LOST * true_area[:, 0]) & (area[:, 0] > 0)
        speed, true_speed = velocity(path), velocity(true_path)
        cosine = torch.nn.functional.cosine_similarity(speed, true_speed) * kept
        growth = area[:, -1] / area[:, 0].clamp(min=1)
        difference, true_difference = ((x[:, 1:] - x[:, :-1]).abs().mean() for x in (made, true))
        copied = psnr(true[:, 0], true[:, -1])
        table[bucket] = dict(
            vae_psnr=psnr(decoded, true.flatten(0, 1)).mean(),
            first_frame_psnr=psnr(made[:, 0], true[:, 0]).mean(),
            object_kept=kept.float().mean(),
            direction_cosine=cosine.mean(),
            speed=speed[kept].norm(dim=-1).mean(),
            true_speed=true_speed.norm(dim=-1).mean(),
            speed_factor=speed[kept].norm(dim=-1).mean() / true_speed[kept].norm(dim=-1).mean(),
            area_last_to_first=growth[kept].median(),
            area_within_30_percent=((growth > 0.7) & (growth < 1.3) & kept).float().mean(),
            last_frame_psnr=psnr(made[:, -1], true[:, -1]).mean(),
            copied_frame_psnr=copied.mean(),
            gain_over_copy=(psnr(made[:, -1], true[:, -1]) - copied).mean(),
            neighbour_difference=difference / true_difference,
        )
        rows += [row for i in range(2) for row in (true[i], made[i])]
        print(f'bucket {bucket} done', file=sys.stderr, flush=True)
    return {bucket: {name: round(value.item(), 3) for name, value in row.items()} for bucket, row in table.items()}, torch.stack(rows)


def sheet(rows: torch.Tensor, path: Path) -> None:
    """A picture of videos [N, F, H, W, 3], a row each, at twice the size."""
    picture = (rows.permute(0, 2, 1, 3, 4).flatten(2, 3).flatten(0, 1).clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    picture = Image.fromarray(picture)
    larger = picture.resize((picture.width * 2, picture.height * 2), Image.Resampling.NEAREST)
    larger.quantize(256).save(path, optimize=True)  # the package contains it


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--folder', type=Path, default=HERE)
    parser.add_argument('--pictures', type=int, default=100)
    parser.add_argument('--steps', type=int, default=20)
    parser.add_argument('--guidance', type=float, default=3.0, help='of the last frame; the first has 1')
    parser.add_argument('--sheets', type=Path, help='folder for pictures of samples')
    parser.add_argument('--photographs', type=Path, nargs='*', default=[])
    args = parser.parse_args()
    pipe = StableVideoDiffusionPipeline.from_pretrained(args.folder, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    table, rows = measure(pipe, args)
    for name in table[BUCKETS[0]]:
        print(f'{name:24}' + ''.join(f'{row[name]:9.3f}' for row in table.values()))
    result = dict(settings=dict(pictures=args.pictures, steps=args.steps, guidance=args.guidance, fps=FPS), buckets=table)
    (args.folder / 'figures.json').write_text(json.dumps(result, indent=1) + '\n')
    if args.sheets:
        args.sheets.mkdir(exist_ok=True, parents=True)
        sheet(rows, args.sheets / 'held-out.png')
        photographs = [Image.open(path).convert('RGB') for path in args.photographs]
        edges = [min(picture.size) for picture in photographs]
        crops = [p.crop(((p.width - e) // 2, (p.height - e) // 2, (p.width + e) // 2, (p.height + e) // 2)) for p, e in zip(photographs, edges)]
        for index, crop in enumerate(crops):
            small = torch.from_numpy(np.array(crop.resize((data.SIZE, data.SIZE), Image.Resampling.LANCZOS)))
            videos = torch.cat([generate(pipe, small[None], bucket, args, 0) for bucket in (40, 127, 200)])
            sheet(videos, args.sheets / f'{args.photographs[index].stem}.png')


if __name__ == '__main__':
    torch.set_grad_enabled(False)
    main()
