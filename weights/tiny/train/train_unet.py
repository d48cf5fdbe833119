"""
Trains the UNet on the latents of the VAE, as Stable Video Diffusion was: v-prediction with sigmas of a log-normal distribution, noise
added to the picture, and the picture left out now and then for the sake of guidance.

python train_unet.py [--processes 2] [--device cuda]   resumes from runs/unet, or goes on from the shipped weights with --shipped
"""

import argparse

import torch
from diffusers.pipelines.stable_video_diffusion.pipeline_stable_video_diffusion import _resize_with_antialiasing
from PIL import Image

import common
import data
import export
import fast
import models
import train_vae

VALIDATION_SIGMAS = (0.05, 0.3, 1, 3, 10, 100)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--processes', type=int, default=2)
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--port', type=int, default=common.PORT)
    parser.add_argument('--shipped', action='store_true')
    parser.add_argument('--steps', type=int, default=40000)
    parser.add_argument('--decay', type=int, default=8000)
    parser.add_argument('--batch', type=int, default=8, help='clips for each process and step')
    parser.add_argument('--rate', type=float, default=1e-3)
    parser.add_argument('--average', type=float, default=0.999)
    parser.add_argument('--pool', type=int, default=16384, help='clips')
    parser.add_argument('--sheet', type=int, default=2000, help='steps between sheets of samples')
    return parser.parse_args()


def embed(encoder, pictures: torch.Tensor) -> torch.Tensor:
    """CLIP embeddings [N, 64] of pictures [N, 3, H, W] in [-1, 1], prepared as the pipeline does."""
    resized = (_resize_with_antialiasing(pictures, (224, 224)) + 1) / 2
    mean, deviation = (torch.tensor(x)[:, None, None] for x in (models.feature_extractor().image_mean, models.feature_extractor().image_std))
    return encoder((resized - mean) / deviation).image_embeds


@torch.no_grad()
def encode_clips(vae, encoder, clips: dict, seed: int, device: str) -> dict:
    """What the UNet sees of clips: latents, the latents of the noised first frame, the strength of that noise, embeddings."""
    random = common.generator(21, seed)
    latents, pictures, embeds = [], [], []
    strength = torch.exp(torch.randn(len(clips['videos']), generator=random) * 0.5 - 3.5)
    for index in range(0, len(strength), 16):
        videos = clips['videos'][index : index + 16].permute(0, 1, 4, 2, 3).float() / 127.5 - 1
        first = videos[:, 0]
        noised = first + torch.randn(first.shape, generator=random) * strength[index : index + 16, None, None, None]
        frames = torch.cat([videos, noised[:, None]], 1)
        mean = fast.encode(vae, frames.flatten(0, 1).to(device).bfloat16())[0].float().cpu().unflatten(0, frames.shape[:2])
        latents.append(mean[:, :-1])
        pictures.append(mean[:, -1])
        embeds.append(embed(encoder, first))
    ids = torch.stack([clips['fps'] - 1, clips['bucket'], strength], 1)
    return dict(latents=torch.cat(latents).half(), picture=torch.cat(pictures).half(), embeds=torch.cat(embeds), ids=ids)


def encoded(rank: int, args) -> tuple[list[dict], dict]:
    """The latents of the pool in parts, and those of 64 held-out clips."""
    folder = common.RUNS / 'latents'
    folder.mkdir(exist_ok=True)
    vae, encoder = models.new_vae(), models.new_image_encoder()
    vae.load_state_dict(export.vae_weights())
    vae.to(args.device).bfloat16()
    result = []
    for index, clips in enumerate(common.pool(rank, args.pool)):
        path = folder / f'{index}.pt'
        result.append(path)
        if index % args.processes == rank and not path.exists():
            torch.save(encode_clips(vae, encoder, clips, index, args.device), path.with_suffix('.new'))
            path.with_suffix('.new').replace(path)
    held_out = encode_clips(vae, encoder, vars(data.render('test', 20_000, 64)), 0, args.device)
    common.together()
    return [torch.load(path) for path in result], held_out


def noised(latents: torch.Tensor, sigma: torch.Tensor, noise: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The UNet's input and the v that it should predict, for latents [B, F, 4, h, w] and sigma [B]."""
    sigma = sigma[:, None, None, None, None]
    root = (sigma**2 + 1).sqrt()
    return (latents + sigma * noise) / root, (noise - sigma * latents) / root


def work(rank: int, args: argparse.Namespace) -> None:
    folder = common.RUNS / 'unet'
    folder.mkdir(exist_ok=True)
    fast.install()
    parts, held_out = encoded(rank, args)
    spread = parts[0]['latents'].float().square().mean((0, 1, 3, 4)).sqrt()
    unet = models.new_unet()
    if args.shipped:
        unet.load_state_dict(export.shipped_unet())
        spread = torch.full((4,), 1 / models.SCALING_FACTOR)
    names = ('latents', 'picture', 'embeds', 'ids')
    pool = {name: torch.cat([part[name] for part in parts]) for name in names}
    trainer = common.Trainer(unet.to(args.device), folder, args.rate, args.average, args.steps, args.decay)

    def batch(source, chosen):
        latents, picture, embeds, ids = (source[name][chosen].float() for name in names)
        return latents / spread[:, None, None], picture / spread[:, None, None], embeds, ids

    def predict(noisy, sigma, picture, embeds, ids):
        picture = picture[:, None].expand_as(noisy)
        sample = torch.cat([noisy, picture], 2).to(args.device).bfloat16()
        time, embeds, ids = ((0.25 * sigma.log()).to(args.device), embeds[:, None].to(args.device).bfloat16(), ids.to(args.device))
        return unet(sample, time, embeds, ids).sample.float()

    def validate():
        latents, *condition = batch(held_out, slice(None))
        losses = {}
        for sigma in VALIDATION_SIGMAS:
            noise = torch.randn(latents.shape, generator=common.generator(31))
            sigmas = torch.full((len(latents),), float(sigma))
            noisy, target = noised(latents, sigmas, noise)
            losses[str(sigma)] = round((predict(noisy, sigmas, *condition).cpu() - target).square().mean().item(), 4)
        return losses

    def show():
        pipe = export.pipeline(spread, {name: value.cpu() for name, value in trainer.averaged().items()})
        videos = data.render('test', 20_000, 6).videos
        rows = []
        for index, bucket in enumerate((40, 127, 200, 40, 127, 200)):
            picture = Image.fromarray(videos[index // 3 * 3, 0].numpy())
            call = dict(height=data.SIZE, width=data.SIZE, num_inference_steps=20, motion_bucket_id=bucket, output_type='pt')
            rows.append(pipe(picture, generator=torch.Generator().manual_seed(0), **call).frames[0] * 2 - 1)
        train_vae.sheet(folder / f'sheet-{trainer.step:06}.png', rows)

    losses = []
    while trainer.step < args.steps:
        random = common.generator(22, rank, trainer.step)
        latents, picture, embeds, ids = batch(pool, torch.randint(0, len(pool['ids']), (args.batch,), generator=random))
        sigma = torch.exp(torch.randn(args.batch, generator=random) * 1.6 + 0.7)
        high = 20 * 35 ** torch.rand(args.batch, generator=random)
        choice = torch.rand(3, args.batch, generator=random)
        sigma = torch.where(choice[0] < 0.15, high, sigma)
        picture = picture * (choice[1] > 0.1)[:, None, None, None]
        embeds = embeds * ((choice[1] > 0.1) & (choice[2] > 0.05))[:, None]
        noisy, target = noised(latents, sigma, torch.randn(latents.shape, generator=random))
        loss = (predict(noisy, sigma, picture, embeds, ids) - target.to(args.device)).square().mean()
        loss.backward()
        length = trainer.learn()
        losses.append(loss.item())
        if rank == 0 and trainer.step % 250 == 0:
            trainer.log(loss=round(sum(losses) / len(losses), 4), gradient=round(length, 3), **trainer.with_average(validate))
            losses = []
        if rank == 0 and (trainer.step % 250 == 0 or trainer.step >= args.steps):
            trainer.save()
            torch.save(dict(spread=spread, unet=trainer.averaged()), folder / 'weights.new')
            (folder / 'weights.new').replace(folder / 'weights.pt')
        if rank == 0 and trainer.step % args.sheet == 0:
            show()


if __name__ == '__main__':
    args = arguments()
    common.launch(work, args)
