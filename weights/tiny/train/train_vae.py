"""
Trains the VAE: first on crops of single frames, then on whole frames, then (`--clips`) the temporal decoder on clips, with the encoder fixed.

python train_vae.py [--processes 2] [--device cuda]   resumes from runs/vae
"""

import argparse
import shutil
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import common
import data
import fast
import models

KL = 2e-7


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--processes', type=int, default=2)
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--port', type=int, default=common.PORT)
    parser.add_argument('--clips', action='store_true', help='train the decoder on clips, from runs/vae, in runs/decoder')
    parser.add_argument('--steps', type=int, default=12000)
    parser.add_argument('--crop-steps', type=int, default=3000)
    parser.add_argument('--decay', type=int, default=4000)
    parser.add_argument('--batch', type=int, default=8, help='frames for each process and step')
    parser.add_argument('--rate', type=float, default=1e-3)
    parser.add_argument('--pool', type=int, default=8192, help='clips')
    parser.add_argument('--folder', default='vae')
    parser.add_argument('--channels', type=int, nargs=4)
    return parser.parse_args()


def frames_of(pool, random: torch.Generator, count: int, crop: bool, clips: bool) -> torch.Tensor:
    """`count` frames [N, 3, H, W] in [-1, 1], mirrored and with their colours exchanged at random."""
    frames = []
    while len(frames) < count:
        part, clip, frame, colours, turn, row, column = torch.randint(0, 2**30, (7,), generator=random).tolist()
        videos = pool[part % len(pool)]['videos']
        video = videos[clip % len(videos)]
        picked = video if clips else video[frame % len(video)][None]
        if crop:
            row, column = row % 5 * 8, column % 5 * 8
            picked = picked[:, row : row + 32, column : column + 32]
        picked = picked[..., [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]][colours % 6]]
        picked = picked.flip([axis for axis in (1, 2) if turn >> axis & 1])
        frames.extend(picked.transpose(1, 2) if turn & 1 else picked)
    return (torch.stack(frames).permute(0, 3, 1, 2).float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def psnr(a: torch.Tensor, b: torch.Tensor) -> float:
    """Mean over pictures [N, 3, H, W] in [-1, 1]."""
    error = ((a.float().clamp(-1, 1) - b.float()) ** 2).mean((1, 2, 3))
    return (10 * torch.log10(4 / error)).mean().item()


def sheet(path: Path, rows: list[torch.Tensor]) -> None:
    """A picture of rows [N, 3, H, W] in [-1, 1]."""
    rows = [row.float().clamp(-1, 1).permute(2, 0, 3, 1).flatten(1, 2) for row in rows]
    picture = ((torch.cat(rows) + 1) * 127.5).round().to(torch.uint8).cpu().numpy()
    Image.fromarray(np.ascontiguousarray(picture)).save(path)


def work(rank: int, args: argparse.Namespace) -> None:
    folder = common.RUNS / args.folder
    folder.mkdir(exist_ok=True)
    if args.clips and not (folder / 'weights.pt').exists():
        common.together()
        if rank == 0:
            shutil.copy(common.RUNS / 'vae' / 'weights.pt', folder / 'weights.pt')
        common.together()
    if args.channels:
        models.VAE['block_out_channels'] = tuple(args.channels)
    skip_time = not args.clips
    fast.install(skip_time)
    vae = models.new_vae().to(args.device)
    if args.clips:
        vae.load_state_dict(torch.load(folder / 'weights.pt'))
    fixed = [vae.encoder, vae.quant_conv] if args.clips else [vae.decoder.time_conv_out]
    for module in fixed:
        module.requires_grad_(False)
    trainer = common.Trainer(vae, folder, args.rate, 0.998, args.steps, args.decay)
    pool = common.pool(rank, args.pool)
    test = data.render('test', 10_000, 32).videos
    test = (test if args.clips else test[:, ::4]).flatten(0, 1)
    test = (test.permute(0, 3, 1, 2).float() / 127.5 - 1).to(args.device)

    def show():
        mean, logvar = fast.encode(vae, test.bfloat16())
        out = fast.decode(vae, mean, data.FRAMES if args.clips else 1, skip_time)
        sheet(folder / 'sheet.png', [test[i * 12 : i * 12 + 12] for i in (0, 1)] + [out[i * 12 : i * 12 + 12] for i in (0, 1)])
        deviation = mean.float().pow(2).mean((0, 2, 3)).sqrt()
        return dict(psnr=round(psnr(out, test), 3), latents=[round(x, 2) for x in deviation.tolist()], noise=round(logvar.float().mean().item(), 2))

    losses = []
    while trainer.step < args.steps:
        random = common.generator(11, rank, trainer.step)
        crop = trainer.step < args.crop_steps and not args.clips
        frames = frames_of(pool, random, args.batch * (2 if crop else 1), crop, args.clips).to(args.device)
        x = frames.bfloat16()
        with torch.set_grad_enabled(not args.clips):
            mean, logvar = fast.encode(vae, x)
        mean, logvar = mean.float(), logvar.float().clamp(-30, 20)
        z = mean + torch.exp(logvar / 2) * torch.randn(mean.shape, generator=random).to(mean.device)
        out = fast.decode(vae, z.bfloat16(), data.FRAMES if args.clips else 1, skip_time).float()
        loss = (out - frames).square().mean()
        if not args.clips:
            cells = 4 * 64 / mean[0].numel()  # crops count as whole pictures
            loss = loss + KL * cells * 0.5 * (mean.square() + logvar.exp() - 1 - logvar).sum() / len(mean)
        loss.backward()
        length = trainer.learn()
        losses.append(loss.item())
        if rank == 0 and trainer.step % 250 == 0:
            trainer.log(loss=round(sum(losses) / len(losses), 5), gradient=round(length, 3), crop=crop, **trainer.with_average(show))
            losses = []
        if rank == 0 and (trainer.step % 250 == 0 or trainer.step >= args.steps):
            trainer.save()
            weights = vae.state_dict() | trainer.averaged()
            torch.save({name: value.float().cpu() for name, value in weights.items()}, folder / 'weights.new')
            (folder / 'weights.new').replace(folder / 'weights.pt')


if __name__ == '__main__':
    args = arguments()
    common.launch(work, args)
