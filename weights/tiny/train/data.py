"""
Renders the training clips: plain objects that move where they look, over smooth colour fields under a slowly moving camera.

Everything about clip `index` of a split follows from its number, so that the held-out pictures of `evaluate.py` are the same everywhere.
What a model has to learn from the picture: an object moves towards its bright nose, away from its dark tail. What it has to learn from
the conditioning: the object nearest to the viewer moves `step_of(bucket, fps)` pixels of the picture between two frames.
"""

from dataclasses import dataclass
from math import pi

import numpy as np
import torch

SIZE = 64
FRAMES = 8
OBJECTS = 3
BLOBS = 5
PIXELS_AT_FULL_BUCKET = 6.0  # between two frames at 7 frames per second
LONGEST_STEP = 5.2
SPLITS = {'train': 0, 'test': 1}


def step_of(bucket, fps):
    """Pixels (of 64) that the main object moves between two frames."""
    return bucket / 255 * PIXELS_AT_FULL_BUCKET * 7 / fps


@dataclass
class Clips:
    """Videos [N, F, H, W, 3] (uint8) with what is true about them."""

    videos: torch.Tensor
    fps: torch.Tensor
    bucket: torch.Tensor
    hue: torch.Tensor  # of the main object, in radians
    heading: torch.Tensor  # of the main object, radians from the right, clockwise as the vertical axis points down


def hue_to_rgb(hue):
    """A saturated colour [..., 3] in 0..1 of a hue in radians."""
    return 0.5 + 0.5 * torch.stack([torch.cos(hue - shift * 2 * pi / 3) for shift in range(3)], -1)


def _scene(random: np.random.Generator, bucket: float | None, fps: float | None) -> dict:
    """The numbers that describe one clip."""
    fps = fps or random.choice([5, 6, 7, 7, 7, 8, 10])
    bucket = bucket or random.integers(20, min(230, LONGEST_STEP / step_of(1, fps)) + 1)
    step = step_of(bucket, fps)
    count = random.choice([1, 2, 3], p=[0.6, 0.3, 0.1])
    headings = random.uniform(0, 2 * pi, OBJECTS)
    sizes = random.uniform(6.5, 9, OBJECTS) * [1, 0.85, 0.8]
    ahead = np.stack([np.cos(headings), np.sin(headings)], -1)
    aside = ahead[:, ::-1] * [-1, 1]
    # Starts behind the middle, whatever the speed, so that a picture does not tell it; the main object stays in view.
    while True:
        places = -ahead * random.uniform(2, 18, (OBJECTS, 1)) + aside * random.uniform(-14, 14, (OBJECTS, 1))
        path = places[0] + ahead[0] * step * (FRAMES - 1) * np.array([[0], [1]])
        if np.abs(path).max() < SIZE / 2 - sizes[0] * 1.25:
            apart = [np.hypot(*(places[i] - places[j])) for i in range(count) for j in range(i)]
            if not apart or min(apart) > 17 or random.uniform() < 0.05:
                break
    first = random.uniform(0, 2 * pi)
    pace = step / 4
    return dict(
        fps=fps,
        bucket=bucket,
        headings=headings,
        places=places,
        sizes=sizes * (np.arange(OBJECTS) < count),
        kinds=random.integers(0, 4, OBJECTS),
        hues=first + np.array([0, 1, 2]) * 2 * pi / 3 + random.uniform(-0.35, 0.35, OBJECTS),
        follow=random.choice([0, 0, 0.25]),
        pan=random.uniform(-0.08, 0.08, 2) * step,
        zoom=random.uniform(-0.006, 0.01) * pace,
        turn=random.uniform(-0.012, 0.012) * pace,
        base=random.uniform(0.2, 0.85) + random.uniform(-0.06, 0.06, 3),
        slope=random.uniform(-0.006, 0.006, 2)[:, None] + random.uniform(-0.0015, 0.0015, (2, 3)),
        blob_places=random.uniform(-45, 45, (BLOBS, 2)),
        blob_sizes=random.uniform(7, 20, BLOBS),
        blob_colours=random.uniform(-0.16, 0.16, (BLOBS, 1)) + random.uniform(-0.06, 0.06, (BLOBS, 3)),
    )


def _outline(kind: torch.Tensor, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Signed distance (negative inside) to one of four shapes in units of its size; `u` points ahead, `v` is to the side."""
    v = v.abs()
    # A drop: a ball with a tapering tail.
    drop = torch.minimum(torch.hypot(u - 0.4, v) - 1, torch.maximum(v * 0.93 - (u + 2.2) * 0.36, u - 0.4))
    # A car: a box with round corners.
    x, y = (u.abs() - 1.15).clamp(min=0), (v - 0.5).clamp(min=0)
    car = torch.hypot(x, y) - 0.45
    # A dart: a triangle with its tip ahead.
    dart = torch.maximum((u - 1.75) * 0.42 + v * 0.91, -1.35 - u)
    # A rocket: a capsule with fins.
    body = torch.hypot(u - u.clamp(-1.1, 0.9), v) - 0.72
    fins = torch.maximum(torch.maximum(v - 1.2, u + 0.6 + 0.5 * (v - 0.6)), -1.6 - u)
    rocket = torch.minimum(body, fins)
    return torch.where(kind == 0, drop, torch.where(kind == 1, car, torch.where(kind == 2, dart, rocket)))


def _ramp(x: torch.Tensor, start: float, end: float) -> torch.Tensor:
    x = ((x - start) / (end - start)).clamp(0, 1)
    return x * x * (3 - 2 * x)


def _render(scenes: list[dict]) -> torch.Tensor:
    """Videos [N, F, H, W, 3] in 0..1."""

    def field(name):
        return torch.tensor(np.array([scene[name] for scene in scenes]), dtype=torch.float32)

    count = len(scenes)
    step = step_of(field('bucket'), field('fps'))
    time = torch.arange(FRAMES, dtype=torch.float32)
    ahead = torch.stack([field('headings').cos(), field('headings').sin()], -1)  # [N, O, 2]
    travel = step[:, None, None] * time[None, :, None]  # [N, F, 1]
    camera = travel * (field('follow')[:, None, None] * ahead[:, :1]) + field('pan')[:, None] * time[None, :, None]
    scale = torch.exp(field('zoom')[:, None] * time)
    turn = field('turn')[:, None] * time

    line = torch.arange(SIZE, dtype=torch.float32) - (SIZE - 1) / 2
    y, x = torch.meshgrid(line, line, indexing='ij')
    cos, sin = (turn.cos() / scale)[..., None, None], (turn.sin() / scale)[..., None, None]
    world_x = cos * x + sin * y + camera[..., 0, None, None]  # [N, F, H, W]
    world_y = cos * y - sin * x + camera[..., 1, None, None]

    slope = field('slope')
    video = field('base').clamp(0.1, 0.9)[:, None, None, None].expand(count, FRAMES, SIZE, SIZE, 3).clone()
    video += world_x[..., None] * slope[:, None, None, None, 0] + world_y[..., None] * slope[:, None, None, None, 1]
    places, sizes, colours = field('blob_places'), field('blob_sizes'), field('blob_colours')
    for blob in range(BLOBS):
        near = [(axis - places[:, blob, i, None, None, None]) / sizes[:, blob, None, None, None] for i, axis in enumerate((world_x, world_y))]
        video += torch.exp(-(near[0] ** 2 + near[1] ** 2))[..., None] * colours[:, blob, None, None, None]

    rgb = hue_to_rgb(field('hues'))
    headings, sizes, kinds = field('headings'), field('sizes'), field('kinds')
    for item in reversed(range(OBJECTS)):
        there = (sizes[:, item] > 0).nonzero()[:, 0]
        if not len(there):
            continue
        size = sizes[there, item, None, None, None]
        # The main object moves on the screen as its bucket says, so it is carried along by the camera.
        place = field('places')[there, item, None] + travel[there] * ahead[there, item, None] + (camera[there] if item == 0 else 0)
        dx = world_x[there] - place[..., 0, None, None]
        dy = world_y[there] - place[..., 1, None, None]
        cos, sin = headings[there, item].cos()[:, None, None, None], headings[there, item].sin()[:, None, None, None]
        u, v = (cos * dx + sin * dy) / size, (cos * dy - sin * dx) / size
        distance = _outline(kinds[there, item, None, None, None], u, v) * size
        cover = _ramp(-distance, -1.1, 1.1)[..., None]
        u = u[..., None]
        colour = rgb[there, item, None, None, None] * (0.25 + 0.75 * _ramp(u, -1.25, -0.45))
        colour = colour + (0.97 - colour) * _ramp(u, 0.35, 1.0) * 0.85
        video[there] = video[there] * (1 - cover) + colour * cover
    return video.clamp(0, 1)


def render(split: str, start: int, count: int, bucket: float | None = None, fps: float | None = None) -> Clips:
    """Clips `start` to `start + count` of a split, all with the given bucket or frame rate, if one is given."""
    scenes = [_scene(np.random.default_rng([SPLITS[split], index]), bucket, fps) for index in range(start, start + count)]

    def main(name):
        return torch.tensor([float(np.ravel(scene[name])[0]) for scene in scenes])

    videos = torch.cat([(_render(scenes[i : i + 16]) * 255).round().to(torch.uint8) for i in range(0, count, 16)])
    return Clips(videos, main('fps'), main('bucket'), main('hues'), main('headings'))
